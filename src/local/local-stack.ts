import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Progress } from './downloads.ts'
import { withFileLock } from './file-lock.ts'
import { isPortFree } from './free-ports.ts'
import { SIDEREAL_FOLDER } from './local-folders.ts'
import {
  clearLocalState,
  isUp,
  type LocalState,
  readLocalState,
  serverEntries,
  writeLocalState,
} from './local-state.ts'
import { SEAWEEDFS_STOP_GRACE_MS } from './seaweedfs-server.ts'
import { STOP_GRACE_MS, stopProcess } from './server-process.ts'
import { SERVER_NAMES, type ServerName, startStack } from './stack.ts'

const lockFile = (folder: string) => join(folder, 'local.lock')

export interface UpOptions {
  /** Default: all. */
  servers?: readonly ServerName[]
  brokers?: 1 | 3
  /** Start with empty servers. */
  fresh?: boolean
  /** Ports of the addresses that users type, instead of those of last time or free ones. */
  ports?: Partial<Record<ServerName, number>>
  /** Where state, data and logs lie. Default: `.sidereal` of the clone. */
  folder?: string
  onProgress: Progress
}

/** Starts the servers that go on after this process, or finds them running. Data and ports are those of the last time. */
export async function bringUp(options: UpOptions): Promise<LocalState> {
  const folder = options.folder ?? SIDEREAL_FOLDER
  const dataFolder = join(folder, 'data')
  return await withFileLock(lockFile(folder), async () => {
    const names = options.servers ?? SERVER_NAMES
    const before = readLocalState(folder)
    if (before !== undefined) {
      if (options.fresh !== true && isWhatIsWanted(before, options)) return before
      await stopAll(before, folder, options.onProgress)
    }
    if (options.fresh === true) rmSync(dataFolder, { recursive: true, force: true, maxRetries: 3 })
    const stack = await startStack({
      servers: names,
      brokers: options.brokers ?? 1,
      dataFolder,
      logFolder: join(folder, 'logs'),
      ports: await choosePortsOf(names, options.ports ?? {}, before),
      onProgress: options.onProgress,
    })
    const state: LocalState = { servers: {}, env: { ...stack.env } }
    for (const name of SERVER_NAMES) {
      const server = stack.servers[name]
      if (server === undefined) continue
      const { address, ports, processes } = server
      state.servers[name] = { address, ports: [...ports], processes: [...processes] }
    }
    writeLocalState(state, folder)
    // Only now: interrupted before this point, nothing of it stays behind.
    await stack.release()
    return state
  })
}

/** Stops exactly what `bringUp` started, by pid and start time. Gives the names of the servers that were still there. */
export async function takeDown(onProgress: Progress, folder = SIDEREAL_FOLDER): Promise<ServerName[]> {
  return await withFileLock(lockFile(folder), async () => {
    const state = readLocalState(folder)
    return state === undefined ? [] : await stopAll(state, folder, onProgress)
  })
}

async function stopAll(state: LocalState, folder: string, onProgress: Progress): Promise<ServerName[]> {
  const stopped = await Promise.all(
    serverEntries(state).map(async ([name, server]) => {
      const graceMs = name === 'seaweedfs' ? SEAWEEDFS_STOP_GRACE_MS : STOP_GRACE_MS
      const ended = await Promise.all(server.processes.map((process) => stopProcess(process, graceMs)))
      if (!ended.includes(true)) return []
      onProgress(`${name}: stopped`)
      return [name]
    }),
  )
  clearLocalState(state, folder)
  return stopped.flat()
}

function isWhatIsWanted(state: LocalState, options: UpOptions): boolean {
  if (!serverEntries(state).every(([, server]) => isUp(server))) return false
  if (options.brokers !== undefined && state.servers.kafka?.processes.length !== options.brokers) return false
  return (options.servers ?? SERVER_NAMES).every((name) => {
    const wanted = options.ports?.[name]
    const server = state.servers[name]
    return server !== undefined && (wanted === undefined || server.ports[0] === wanted)
  })
}

/** The port that was asked for, else the ports of last time where nobody else has taken them since. */
async function choosePortsOf(
  names: readonly ServerName[],
  asked: Partial<Record<ServerName, number>>,
  before: LocalState | undefined,
): Promise<Partial<Record<ServerName, readonly number[]>>> {
  const chosen: Partial<Record<ServerName, readonly number[]>> = {}
  for (const name of names) {
    const port = asked[name]
    const last = before?.servers[name]?.ports ?? []
    if (port !== undefined) chosen[name] = [port]
    else if (!(await Promise.all(last.map(isPortFree))).includes(false)) chosen[name] = last
  }
  return chosen
}
