import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SiderealError } from '../../model/errors.ts'
import type { ServiceReport, StopOrder } from './service-messages.ts'

const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 30_000

export type ServiceRole = 'entry' | 'workflow' | 'tools'

export interface ServiceProcessOptions {
  readonly role: ServiceRole
  readonly env: Readonly<Record<string, string>>
  readonly witnessFile: string
  /** The service that this one calls. */
  readonly nextUrl?: string
}

/** A demo service in a process of its own. */
export class ServiceProcess {
  readonly role: ServiceRole
  readonly witnessFile: string
  readonly url: string
  readonly #child: ChildProcess

  private constructor(options: ServiceProcessOptions, child: ChildProcess, url: string) {
    this.role = options.role
    this.witnessFile = options.witnessFile
    this.url = url
    this.#child = child
  }

  static async start(options: ServiceProcessOptions): Promise<ServiceProcess> {
    const script = fileURLToPath(new URL(`./service-main${extname(import.meta.url)}`, import.meta.url))
    const child = fork(script, [options.role, options.witnessFile, options.nextUrl ?? ''], {
      env: { ...process.env, ...options.env },
    })
    const report = await nextReport(child, options.role, START_TIMEOUT_MS)
    if (report.type !== 'listening') throw unexpected(options.role, 'did not say where it listens')
    return new ServiceProcess(options, child, report.url)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Ends the service after it has sent everything; gives what became of its spans and logs. */
  async stop(): Promise<Extract<ServiceReport, { type: 'stopped' }>> {
    const exited = once(this.#child, 'exit')
    this.#child.send({ type: 'stop' } satisfies StopOrder)
    const report = await nextReport(this.#child, this.role, STOP_TIMEOUT_MS)
    if (report.type !== 'stopped') throw unexpected(this.role, 'did not say what it sent')
    await exited
    return report
  }

  /** Ends it at once when it still runs. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

async function nextReport(child: ChildProcess, role: ServiceRole, timeoutMs: number): Promise<ServiceReport> {
  const signal = AbortSignal.timeout(timeoutMs)
  const ended = once(child, 'exit', { signal }).then(([code]) => {
    throw unexpected(role, `ended with code ${code}`)
  })
  const [message] = await Promise.race([once(child, 'message', { signal }), ended]).catch(
    (cause: unknown) => {
      throw cause instanceof SiderealError
        ? cause
        : unexpected(role, `was silent for ${timeoutMs / 1000} s`, cause)
    },
  )
  // The losing branch of the race may still fail: the service's end is looked at by whoever ends it.
  ended.catch(() => undefined)
  return message as ServiceReport
}

function unexpected(role: ServiceRole, what: string, cause?: unknown): SiderealError {
  return new SiderealError('SIDEREAL_LOCAL_STACK', `The demo service ${role} ${what}; its output is above.`, {
    cause,
  })
}
