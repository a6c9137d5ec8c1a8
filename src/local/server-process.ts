import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SiderealError } from '../model/errors.ts'
import { identifyProcess, isSameProcess, type ProcessIdentity } from './process-identity.ts'

const LOG_TAIL_LINES = 15
const LOG_TAIL_BYTES = 16_384
const PROBE_EVERY_MS = 150
const STOP_GRACE_MS = 8_000

// The shell that stands between us and a server. It holds the read end of a pipe that only we can write to: a line means
// "stop in order", the end of the pipe means that we are gone, however we died, and the server is killed at once.
const GUARD = `exec 3<&0
"$@" </dev/null 3<&- &
server=$!
( if read -r line <&3; then kill -TERM $server; cat <&3 >/dev/null; fi; kill -KILL $server ) 2>/dev/null &
guard=$!
exec 3<&-
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
  /** True: the server outlives this process (`sidereal local up`). Otherwise it dies with it, even by kill -9. */
  outlives: boolean
  /** Called once when the server ends without being asked to. */
  onCrash?: ((error: SiderealError) => void) | undefined
}

/** One server of the local stack in a process of its own. */
export class ServerProcess {
  readonly #options: ServerProcessOptions
  #child: ChildProcess | undefined
  #exited: Promise<void> | undefined
  #ending = ''
  #isStopping = false

  constructor(options: ServerProcessOptions) {
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#ending === ''
  }

  /** The server itself, when it outlives us; what `local down` needs to know it again. */
  get identity(): ProcessIdentity | undefined {
    const pid = this.#child?.pid
    return this.#options.outlives && pid !== undefined ? identifyProcess(pid) : undefined
  }

  start(): void {
    if (this.isRunning) throw new Error(`${this.#options.name} is running already`)
    const { command, args, logFile, outlives } = this.#options
    mkdirSync(dirname(logFile), { recursive: true })
    const log = openSync(logFile, 'a')
    const options = {
      // A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the server in order.
      detached: true,
      ...(this.#options.cwd === undefined ? {} : { cwd: this.#options.cwd }),
      env: { ...process.env, ...this.#options.env },
    }
    this.#isStopping = false
    this.#ending = ''
    const child = outlives
      ? spawn(command, args, { ...options, stdio: ['ignore', log, log] })
      : spawn('/bin/sh', ['-c', GUARD, 'guard', command, ...args], { ...options, stdio: ['pipe', log, log] })
    closeSync(log)
    this.#child = child
    this.#exited = new Promise((resolve) => {
      const onEnd = (ending: string) => {
        if (this.#ending !== '') return
        this.#ending = ending
        child.stdin?.destroy()
        resolve()
        if (!this.#isStopping) this.#options.onCrash?.(this.#failure(this.#ending))
      }
      child.once('error', (error) => onEnd(`could not be started: ${error.message}`))
      child.once('exit', (code, signal) =>
        onEnd(signal === null ? `ended with code ${code}` : `ended by ${signal}`),
      )
    })
    // Writing to a guard that has just ended fails with EPIPE; its exit event says all there is to say.
    child.stdin?.on('error', () => child.stdin?.destroy())
    // A server is no reason for our process to stay: without unref a forgotten close() would hang it for ever.
    child.unref()
    if (child.stdin instanceof Socket) child.stdin.unref()
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

  /** Asks the server to end, and kills it when it does not within a few seconds. */
  async close(): Promise<void> {
    if (!this.isRunning) return
    this.#isStopping = true
    this.#child?.ref()
    const pid = this.#child?.pid
    if (this.#options.outlives && pid !== undefined) process.kill(pid, 'SIGTERM')
    else this.#child?.stdin?.write('stop\n')
    const isEnded = await Promise.race([this.#exited?.then(() => true), sleep(STOP_GRACE_MS, false)])
    if (isEnded !== true) await this.kill()
  }

  /** Ends the server as kill -9 does. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    this.#isStopping = true
    this.#child?.ref()
    const pid = this.#child?.pid
    if (this.#options.outlives && pid !== undefined) process.kill(pid, 'SIGKILL')
    else this.#child?.stdin?.end()
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
export async function stopProcess(identity: ProcessIdentity): Promise<boolean> {
  if (!isSameProcess(identity)) return false
  process.kill(identity.pid, 'SIGTERM')
  const deadline = Date.now() + STOP_GRACE_MS
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
