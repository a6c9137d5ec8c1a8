import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import type { z } from 'zod'
import { SiderealError } from '../model/errors.ts'
import { unknownKey } from './nearest-key.ts'
import { configSchema, groupRegistry, type KeyInfo, keyRegistry } from './schema.ts'

export const ENV_PREFIX = 'SIDEREAL_'

/** Settings of the client that services import, which reads them itself: an environment may serve both. */
const PRODUCER_PREFIX = `${ENV_PREFIX}PRODUCER_`

/** Names the YAML file; not a key of the schema itself. */
export const CONFIG_FILE_KEY = `${ENV_PREFIX}CONFIG`

type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T

/** All settings of Sidereal, parsed and frozen. Only `cli/` and `worker/worker.ts` read it: parts take their own options. */
export type Config = DeepReadonly<z.infer<typeof configSchema>>

export interface ConfigKey extends KeyInfo {
  /** Names in {@link Config}: group, then key. */
  readonly path: readonly [string, string]
  /** With prefix. */
  readonly envName: string
}

export interface ConfigGroup {
  readonly heading: string
  readonly about: string
  readonly keys: readonly ConfigKey[]
}

/** Every variable that {@link loadConfig} reads. */
export function knownEnvNames(): string[] {
  return [...configGroups().flatMap(({ keys }) => keys.map(({ envName }) => envName)), CONFIG_FILE_KEY]
}

/** The schema as data, in its order: what documentation is made from. */
export function configGroups(): ConfigGroup[] {
  return Object.entries(configSchema.shape).map(([groupName, groupSchema]) => {
    const info = groupRegistry.get(groupSchema)
    if (info === undefined) throw new Error(`config group ${groupName} has no heading`)
    const keys = Object.entries(groupSchema.shape as Record<string, z.ZodType>).map(
      ([keyName, keySchema]): ConfigKey => {
        const keyInfo = keyRegistry.get(keySchema)
        if (keyInfo === undefined) throw new Error(`config key ${groupName}.${keyName} has no description`)
        return { ...keyInfo, path: [groupName, keyName], envName: ENV_PREFIX + keyInfo.name }
      },
    )
    return { ...info, keys }
  })
}

/**
 * Reads the settings from `SIDEREAL_*` variables and, below them, from a YAML file (`file`, else `SIDEREAL_CONFIG`). In the file the names are
 * those of the variables in lower case, without the prefix; nested maps join their names with `_` (`kafka: {brokers: …}`).
 * An empty variable counts as unset.
 *
 * @throws SiderealError SIDEREAL_CONFIG_INVALID that lists every problem: unknown names with the nearest known one, wrong values, contradictions.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>, file?: string): Config {
  const keys = configGroups().flatMap((group) => group.keys)
  const byEnvName = new Map(keys.map((key) => [key.envName, key]))
  const problems: string[] = []
  const texts = new Map<ConfigKey, string>()

  const take = (name: string, value: string, where: string) => {
    const key = byEnvName.get(name)
    if (key !== undefined) texts.set(key, value)
    else problems.push(`${unknownKey(name, [...byEnvName.keys(), CONFIG_FILE_KEY])}${where}`)
  }

  const path = file ?? (env[CONFIG_FILE_KEY] || undefined)
  if (path !== undefined) {
    for (const [name, value] of readConfigFile(path, new Set(byEnvName.keys())))
      take(name, value, ` (in ${path})`)
  }
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || name === CONFIG_FILE_KEY || name.startsWith(PRODUCER_PREFIX)) continue
    if (value !== undefined && value.trim() !== '') take(name, value, '')
  }

  const input: Record<string, Record<string, string>> = {}
  for (const { path: names } of keys) input[names[0]] ??= {}
  for (const [key, value] of texts) input[key.path[0]]![key.path[1]] = value

  const result = configSchema.safeParse(input)
  if (result.success) problems.push(...contradictions(result.data))
  else for (const issue of result.error.issues) problems.push(describeIssue(issue, keys))

  if (problems.length > 0 || !result.success) {
    const list = problems.map((problem) => `\n  - ${problem}`).join('')
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `The configuration is wrong:${list}\nEvery key is in docs/configuration.md.`,
    )
  }
  return deepFreeze(result.data)
}

/** Every key with its value as text, secrets replaced: safe to print and to log. */
export function describeConfig(config: Config): Record<string, string> {
  const described: Record<string, string> = {}
  for (const key of configGroups().flatMap((group) => group.keys)) {
    const groups: Readonly<Record<string, Readonly<Record<string, unknown>>>> = config
    const value = groups[key.path[0]]?.[key.path[1]]
    described[key.envName] = value === undefined ? '(unset)' : key.isSecret ? '(secret)' : valueText(value)
  }
  return described
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueText).join(',')
  if (typeof value === 'object' && value !== null && 'name' in value && 'mode' in value)
    return `${value.name}:${value.mode}`
  return String(value)
}

function describeIssue(issue: z.core.$ZodIssue, keys: readonly ConfigKey[]): string {
  const key = keys.find(({ path }) => path[0] === issue.path[0] && path[1] === issue.path[1])
  if (key === undefined) return issue.message
  // A parser's message may quote the value, which must never happen to a secret.
  return key.isSecret
    ? `${key.envName} is not valid (its value is a secret and is not shown)`
    : `${key.envName}: ${issue.message}`
}

/** What is wrong between keys that are right by themselves. */
function contradictions(config: Config): string[] {
  const { kafka, worker, otlp } = config
  const problems: string[] = []
  if (
    kafka.saslMechanism !== undefined &&
    (kafka.saslUsername === undefined || kafka.saslPassword === undefined)
  ) {
    problems.push(
      'SIDEREAL_KAFKA_SASL_MECHANISM needs SIDEREAL_KAFKA_SASL_USERNAME and SIDEREAL_KAFKA_SASL_PASSWORD',
    )
  }
  if (
    kafka.saslMechanism === undefined &&
    (kafka.saslUsername !== undefined || kafka.saslPassword !== undefined)
  ) {
    problems.push(
      'SIDEREAL_KAFKA_SASL_USERNAME and _PASSWORD do nothing without SIDEREAL_KAFKA_SASL_MECHANISM',
    )
  }
  if ((kafka.tlsCertFile === undefined) !== (kafka.tlsKeyFile === undefined)) {
    problems.push('SIDEREAL_KAFKA_TLS_CERT and SIDEREAL_KAFKA_TLS_KEY go together')
  }
  const hasTlsFile = kafka.tlsCaFile !== undefined || kafka.tlsCertFile !== undefined
  if (!kafka.isTls && hasTlsFile)
    problems.push('SIDEREAL_KAFKA_TLS_* files do nothing without SIDEREAL_KAFKA_TLS=true')
  if (config.topics.traces === config.topics.deadLetters) {
    problems.push('SIDEREAL_TOPIC and SIDEREAL_DEAD_LETTER_TOPIC are the same topic')
  }
  if (worker.heartbeatMs * 3 > worker.sessionTimeoutMs) {
    problems.push('SIDEREAL_HEARTBEAT_MS is more than a third of SIDEREAL_SESSION_TIMEOUT_MS')
  }
  if (worker.quietMs > worker.idleMs || worker.idleMs > worker.maxAgeMs) {
    problems.push('SIDEREAL_QUIET_MS, SIDEREAL_IDLE_MS and SIDEREAL_MAX_AGE_MS must not fall in this order')
  }
  if (worker.sinks.some((sink) => sink.name === 'otlp') && otlp.endpoint === undefined) {
    problems.push('SIDEREAL_SINKS names otlp, which needs SIDEREAL_OTLP_ENDPOINT')
  }
  return problems
}

function readConfigFile(path: string, known: ReadonlySet<string>): [string, string][] {
  let document: unknown
  try {
    document = parseYaml(readFileSync(path, 'utf8'))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `The configuration file ${path} cannot be read: ${reason}`,
      { cause },
    )
  }
  const entries: [string, string][] = []
  const walk = (value: unknown, name: string) => {
    if (value === null || value === undefined) return
    if (typeof value !== 'object') entries.push([name, String(value)])
    else if (Array.isArray(value)) entries.push([name, value.map(String).join(',')])
    else if (known.has(name)) entries.push([name, headersText(value)])
    else for (const [key, inner] of Object.entries(value)) walk(inner, joined(name, key))
  }
  if (typeof document === 'object' && document !== null && !Array.isArray(document)) walk(document, '')
  else if (document !== null && document !== undefined) {
    throw new SiderealError('SIDEREAL_CONFIG_INVALID', `The configuration file ${path} is not a map of keys`)
  }
  return entries
}

function joined(name: string, key: string): string {
  const part = key.toUpperCase().replaceAll('-', '_')
  return name === '' ? ENV_PREFIX + part : `${name}_${part}`
}

function headersText(value: object): string {
  return Object.entries(value)
    .map(([key, inner]) => `${key}=${encodeURIComponent(String(inner))}`)
    .join(',')
}

function deepFreeze<T>(value: T): DeepReadonly<T> {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value as DeepReadonly<T>
}
