import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SiderealError } from '../../model/errors.ts'
import { spawnCli } from './cli-process.ts'

const START_TIMEOUT_MS = 40_000
const POLL_MS = 100

export interface WorkerProcess {
  /** Where `/metrics` and `/readyz` are. */
  readonly url: string
  /** SIGTERM, and waits for the end. */
  close(): Promise<void>
}

/** Starts `sidereal worker` and waits until it says that it is ready. */
export async function startWorker(
  env: Readonly<Record<string, string>>,
  logFile: string,
  signal: AbortSignal,
): Promise<WorkerProcess> {
  const log = openSync(logFile, 'w')
  const child = spawnCli(['worker'], env, log)
  closeSync(log)
  const exited = once(child, 'exit')
  const close = async () => {
    child.kill('SIGTERM')
    await exited
  }
  const deadline = performance.now() + START_TIMEOUT_MS
  try {
    for (;;) {
      signal.throwIfAborted()
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new SiderealError('SIDEREAL_LOCAL_STACK', `The worker did not start:\n${tail(logFile)}`)
      }
      const url = /"metricsUrl":"(http:[^"]+)\/metrics"/.exec(readFileSync(logFile, 'utf8'))?.[1]
      if (url !== undefined && (await isReady(url))) return { url, close }
      await sleep(POLL_MS)
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function isReady(url: string): Promise<boolean> {
  const response = await fetch(`${url}/readyz`)
  await response.body?.cancel()
  return response.ok
}

function tail(logFile: string): string {
  return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-10).join('\n')
}
