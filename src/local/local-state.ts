import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SIDEREAL_FOLDER } from './local-folders.ts'
import { isSameProcess } from './process-identity.ts'

const STATE_FILE = 'local.json'
const ENV_FILE_NAME = 'local.env'

/** Shell form of the addresses of `local up`, for `source` or `--env-from`. */
export const ENV_FILE = join(SIDEREAL_FOLDER, ENV_FILE_NAME)

const serverState = z.object({
  address: z.string(),
  ports: z.array(z.number().int()),
  processes: z.array(z.object({ pid: z.number().int().positive(), startedAt: z.string() })),
})

const localState = z.object({
  servers: z.partialRecord(z.enum(['kafka', 'clickhouse', 'seaweedfs', 'registry']), serverState),
  env: z.record(z.string(), z.string()),
})

/** What `local up` left running, and where. */
export type LocalState = z.infer<typeof localState>

/** What is known of one server that `local up` started. */
export type ServerState = z.infer<typeof serverState>

/** Reads what the last `local up` wrote; undefined when there is nothing, or nothing readable. */
export function readLocalState(folder = SIDEREAL_FOLDER): LocalState | undefined {
  const path = join(folder, STATE_FILE)
  if (!existsSync(path)) return undefined
  const parsed = localState.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  return parsed.success ? parsed.data : undefined
}

/** Writes state and address files; a reader sees the old ones or the new ones, never half of them. */
export function writeLocalState(state: LocalState, folder = SIDEREAL_FOLDER): void {
  mkdirSync(folder, { recursive: true })
  replaceFile(join(folder, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`)
  const lines = Object.entries(state.env).map(([key, value]) => `${key}=${value}`)
  replaceFile(join(folder, ENV_FILE_NAME), `${lines.join('\n')}\n`)
}

/** Forgets the addresses, which lead nowhere once the servers are down; the ports stay for the next start. */
export function clearLocalState(state: LocalState, folder = SIDEREAL_FOLDER): void {
  const servers: LocalState['servers'] = {}
  for (const [name, server] of serverEntries(state)) servers[name] = { ...server, processes: [] }
  replaceFile(join(folder, STATE_FILE), `${JSON.stringify({ servers, env: {} }, null, 2)}\n`)
  rmSync(join(folder, ENV_FILE_NAME), { force: true })
}

/** The servers of a state with their names. */
export function serverEntries(state: LocalState): [keyof LocalState['servers'], ServerState][] {
  return Object.entries(state.servers) as [keyof LocalState['servers'], ServerState][]
}

/** True when every process of the server is still the one that was started. */
export function isUp(server: ServerState): boolean {
  return server.processes.length > 0 && server.processes.every(isSameProcess)
}

function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, text, { mode: 0o600 })
  renameSync(temporary, path)
}
