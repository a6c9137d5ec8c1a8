import { after } from 'node:test'
import { isUp, readLocalState, serverEntries } from '../../src/local/local-state.ts'
import { SERVER_NAMES, type ServerName, startStack } from '../../src/local/stack.ts'
import { prepareContainers, startContainers } from './containers.ts'

/** Configuration keys that say where a server is; all of them set means that the environment has this server. */
const KEYS: Record<ServerName, readonly string[]> = {
  kafka: ['SIDEREAL_KAFKA_BROKERS'],
  registry: ['SIDEREAL_REGISTRY_URL'],
  clickhouse: ['SIDEREAL_CLICKHOUSE_URL'],
  seaweedfs: ['SIDEREAL_OBJECT_STORE', 'SIDEREAL_S3_ENDPOINT'],
}

/** Keys that belong to a server too, and are handed on when set. */
const FURTHER_KEYS: Record<ServerName, readonly string[]> = {
  kafka: [],
  registry: [],
  clickhouse: ['SIDEREAL_CLICKHOUSE_USERNAME', 'SIDEREAL_CLICKHOUSE_PASSWORD'],
  seaweedfs: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION'],
}

export interface RunningServers {
  /** Configuration that points Sidereal at the servers. */
  env: Record<string, string>
  /** Stops what was started for this; servers that were there before stay. */
  close(): Promise<void>
}

/** Servers that tests can start for themselves. */
export const SERVER_KINDS = ['containers', 'local'] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

/**
 * Gives real servers, from the first place that has them: the environment, a stack left running by `sidereal local up`,
 * then what `startServers` finds.
 */
export async function openServers(
  names: readonly ServerName[],
  onProgress: (line: string) => void,
): Promise<RunningServers> {
  const given = fromEnvironment(names, process.env) ?? fromLocalUp(names)
  if (given !== undefined) return { env: given, close: async () => undefined }
  return await startServers(names, onProgress)
}

/**
 * Starts real servers that end with this process: containers when a Docker engine answers and can get the images, else a
 * local stack. With a kind: that or an error.
 */
export async function startServers(
  names: readonly ServerName[],
  onProgress: (line: string) => void,
  kind?: ServerKind,
): Promise<RunningServers> {
  if (kind !== 'local') {
    const support = await prepareContainers(names, onProgress)
    if (support.state === 'ready') return await startContainers(names, onProgress)
    const reason = support.state === 'no-images' ? support.reason : 'no Docker engine answers'
    if (kind === 'containers') throw new Error(`no containers for the tests: ${reason}`)
    if (support.state === 'no-images') onProgress(`no containers, the local stack instead: ${reason}`)
  }
  return await startStack({ servers: names, onProgress })
}

/** Where the servers of a test file are. */
export interface TestServers {
  env: Readonly<Record<string, string>>
  /** `host:port` of the brokers. */
  brokers: string[]
  registryUrl: string
  clickhouseUrl: string
  /** URL of the S3 endpoint. */
  s3Endpoint: string
  /** Runs at the end of the test file, before the servers stop: hooks of `after` alone would run when they are gone. The last comes first. */
  beforeClose(cleanUp: () => Promise<void>): void
}

let opened: Promise<RunningServers> | undefined

/** Servers for one test file: `const servers = await useServers('kafka', 'clickhouse')` at its top. All, when none is named. */
export async function useServers(...names: ServerName[]): Promise<TestServers> {
  if (opened !== undefined)
    throw new Error('useServers is called once in a test file, with every server it needs')
  opened = openServers(names.length === 0 ? SERVER_NAMES : names, (line) => process.stderr.write(`${line}\n`))
  const { env, close } = await opened
  const cleanUps: (() => Promise<void>)[] = []
  after(async () => {
    try {
      for (const cleanUp of cleanUps.reverse()) await cleanUp()
    } finally {
      await close()
    }
  })
  return {
    env,
    brokers: (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(','),
    registryUrl: env['SIDEREAL_REGISTRY_URL'] ?? '',
    clickhouseUrl: env['SIDEREAL_CLICKHOUSE_URL'] ?? '',
    s3Endpoint: env['SIDEREAL_S3_ENDPOINT'] ?? '',
    beforeClose: (cleanUp) => {
      cleanUps.push(cleanUp)
    },
  }
}

function fromEnvironment(
  names: readonly ServerName[],
  source: Readonly<Record<string, string | undefined>>,
): Record<string, string> | undefined {
  if (names.some((name) => KEYS[name].some((key) => source[key] === undefined))) return undefined
  const keys = names.flatMap((name) => [...KEYS[name], ...FURTHER_KEYS[name]])
  return Object.fromEntries(keys.flatMap((key) => (source[key] === undefined ? [] : [[key, source[key]]])))
}

function fromLocalUp(names: readonly ServerName[]): Record<string, string> | undefined {
  const state = readLocalState()
  if (state === undefined || !serverEntries(state).every(([, server]) => isUp(server))) return undefined
  return fromEnvironment(names, state.env)
}
