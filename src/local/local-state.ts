import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SIDEREAL_FOLDER } from './local-folders.ts'
import { isSameProcess } from './process-identity.ts'

const STATE_FILE = join(SIDEREAL_FOLDER, 'local.json')

/** Shell form of the addresses, for `source` or `node --env-file`. */
export const ENV_FILE = join(SIDEREAL_FOLDER, 'local.env')

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
export function readLocalState(): LocalState | undefined {
  if (!existsSync(STATE_FILE)) return undefined
  const parsed = localState.safeParse(JSON.parse(readFileSync(STATE_FILE, 'utf8')))
  return parsed.success ? parsed.data : undefined
}

/** Writes state and address files; a reader sees the old ones or the new ones, never half of them. */
export function writeLocalState(state: LocalState): void {
  mkdirSync(SIDEREAL_FOLDER, { recursive: true })
  replaceFile(STATE_FILE, `${JSON.stringify(state, null, 2)}\n`)
  const lines = Object.entries(state.env).map(([key, value]) => `${key}=${value}`)
  replaceFile(ENV_FILE, `${lines.join('\n')}\n`)
}

/** Forgets the addresses, which lead nowhere once the servers are down; the ports stay for the next start. */
export function clearLocalState(state: LocalState): void {
  const servers: LocalState['servers'] = {}
  for (const [name, server] of serverEntries(state)) servers[name] = { ...server, processes: [] }
  replaceFile(STATE_FILE, `${JSON.stringify({ servers, env: {} }, null, 2)}\n`)
  rmSync(ENV_FILE, { force: true })
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
