import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { SiderealError } from '../model/errors.ts'
import { identifyProcess, isSameProcess, type ProcessIdentity } from './process-identity.ts'

const LOG_TAIL_LINES = 15
const LOG_TAIL_BYTES = 16_384
const PROBE_EVERY_MS = 150
/** How long a server may take to end by itself; then it is killed. */
export const STOP_GRACE_MS = 8_000

// The shell that stands between us and a server. It tells us the server's pid and then holds the read end of a pipe that only
// we can write to: "stop" means to end in order, "leave" that the server shall go on without us, and the end of the pipe that
// we are gone, however we died: the server is killed at once.
const GUARD = `exec 4<&0
"$@" </dev/null 3>&- 4<&- &
server=$!
echo $server >&3
exec 3>&-
(
  order=
  read -r order <&4
  case $order in
    leave) exit ;;
    stop) kill -TERM $server; cat <&4 >/dev/null ;;
  esac
  kill -KILL $server
) 2>/dev/null &
guard=$!
exec 4<&-
wait $server
code=$?
kill $guard 2>/dev/null
exit $code`

export interface ServerProcessOptions {
  /** For messages: "Kafka". */
  name: string
  command: string
  args: readonly string[]
  /** Takes what the server prints; the end of it is part of every error. */
  logFile: string
  env?: Record<string, string>
  cwd?: string
  /** Default 8 s. */
  stopGraceMs?: number
  /** Called once when the server ends without being asked to. */
  onCrash?: ((error: SiderealError) => void) | undefined
}

/** One server of the local stack in a process of its own. It dies with this process, even by kill -9, unless it is released. */
export class ServerProcess {
  readonly #options: ServerProcessOptions
  #guard: ChildProcess | undefined
  #identity: ProcessIdentity | undefined
  #exited: Promise<void> | undefined
  #ending = ''
  #isStopping = false

  constructor(options: ServerProcessOptions) {
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#guard !== undefined && this.#ending === ''
  }

  /** The server itself, once started. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity
  }

  /** Starts it, for the first time or again after it has ended; resolves when it has a pid. */
  async start(): Promise<void> {
    if (this.isRunning) throw new Error(`${this.#options.name} is running already`)
    const { command, args, logFile, env, cwd } = this.#options
    mkdirSync(dirname(logFile), { recursive: true })
    const log = openSync(logFile, 'a')
    const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', command, ...args], {
      // A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the server in order.
      detached: true,
      stdio: ['pipe', log, log, 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    })
    closeSync(log)
    this.#guard = guard
    this.#isStopping = false
    this.#ending = ''
    this.#exited = new Promise((resolve) => {
      const onEnd = (ending: string) => {
        if (this.#ending !== '') return
        this.#ending = ending
        guard.stdin?.destroy()
        resolve()
        if (!this.#isStopping) this.#options.onCrash?.(this.#failure(ending))
      }
      guard.once('error', (error) => onEnd(`could not be started: ${error.message}`))
      guard.once('exit', (code, signal) =>
        onEnd(signal === null ? `ended with code ${code}` : `ended by ${signal}`),
      )
    })
    // Writing to a guard that has just ended fails with EPIPE; its exit event says all there is to say.
    guard.stdin?.on('error', () => guard.stdin?.destroy())
    const pids = guard.stdio[3]
    const pid = pids instanceof Readable ? Number(await text(pids)) : 0
    this.#identity = pid > 0 ? identifyProcess(pid) : undefined
    // A server is no reason for our process to stay: without unref a forgotten close() would hang it for ever.
    guard.unref()
    if (guard.stdin instanceof Socket) guard.stdin.unref()
  }

  /** Waits until `probe` says true. Rejects, with the end of the log, when the server ends or the time is over. */
  async waitUntil(probe: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      if (this.#ending !== '') throw this.#failure(this.#ending)
      if (await probe()) return
      if (Date.now() > deadline)
        throw this.#failure(`did not answer within ${Math.round(timeoutMs / 1000)} s`)
      await sleep(PROBE_EVERY_MS)
    }
  }

  /** Lets the server go on when this process ends; from here on only its pid leads to it. */
  async release(): Promise<void> {
    const stdin = this.#guard?.stdin
    if (!this.isRunning || stdin === null || stdin === undefined) return
    this.#isStopping = true
    await new Promise<void>((resolve) => stdin.end('leave\n', resolve))
  }

  /** Asks the server to end, and kills it when it does not within a few seconds. */
  async close(): Promise<void> {
    if (!this.isRunning) return
    this.#isStopping = true
    this.#guard?.ref()
    this.#guard?.stdin?.write('stop\n')
    const graceMs = this.#options.stopGraceMs ?? STOP_GRACE_MS
    const isOver = new AbortController()
    const timer = sleep(graceMs, undefined, { signal: isOver.signal }).catch(() => undefined)
    await Promise.race([this.#exited, timer])
    isOver.abort()
    await this.kill()
  }

  /** Ends the server as kill -9 does. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    this.#isStopping = true
    this.#guard?.ref()
    this.#guard?.stdin?.end()
    await this.#exited
  }

  #failure(what: string): SiderealError {
    const { name, logFile } = this.#options
    return new SiderealError(
      'SIDEREAL_LOCAL_STACK',
      `${name} ${what}. The end of its log (${logFile}):\n${logTail(logFile)}`,
    )
  }
}

/** Stops a server that another process left running. True when it was still there. */
export async function stopProcess(identity: ProcessIdentity, graceMs: number): Promise<boolean> {
  if (!isSameProcess(identity)) return false
  process.kill(identity.pid, 'SIGTERM')
  const deadline = Date.now() + graceMs
  while (isSameProcess(identity)) {
    if (Date.now() > deadline) process.kill(identity.pid, 'SIGKILL')
    await sleep(50)
  }
  return true
}

/** The last lines of a log file, for an error message. */
function logTail(path: string): string {
  if (!existsSync(path)) return '  (empty)'
  const file = openSync(path, 'r')
  try {
    const size = fstatSync(file).size
    const buffer = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES))
    readSync(file, buffer, 0, buffer.length, size - buffer.length)
    const lines = buffer.toString('utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES)
    return lines.map((line) => `  ${line}`).join('\n')
  } finally {
    closeSync(file)
  }
}
