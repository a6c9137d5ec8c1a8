import {
  REGISTRY_TLS_KEYS,
  type RegistryAddress,
  type RegistryAnswer,
  RegistryHttp,
} from '../codec/registry-http.ts'
import { SiderealError } from '../model/errors.ts'
import { tlsFault } from '../model/tls-fault.ts'
import type { Finding, SetupMode } from './finding.ts'

/** What `setup` registers, and how: the registering itself is the codec’s. */
export interface SchemaSetup {
  readonly registry: RegistryAddress
  readonly schemas: readonly { readonly subject: string; readonly json: string }[]
  readonly register: (subject: string, json: string) => Promise<number>
  readonly timeoutMs: number
}

const COMPATIBILITY = 'FULL_TRANSITIVE'

/** Registers the newest version of both schemas, each under its subject, with compatibility FULL_TRANSITIVE. */
export async function setupSchemas(setup: SchemaSetup, mode: SetupMode): Promise<Finding[]> {
  const findings: Finding[] = []
  const http = new RegistryHttp(setup.registry)
  for (const { subject, json } of setup.schemas) {
    const name = `schema ${subject}`
    const before = await inspectSubject(http, setup.timeoutMs, subject, json)
    if (before.id !== undefined && before.compatibility === COMPATIBILITY) {
      findings.push({ state: 'ok', subject: name, detail: `id ${before.id}, ${COMPATIBILITY}` })
    } else if (mode === 'apply') {
      const id = await setup.register(subject, json)
      findings.push({ state: 'changed', subject: name, detail: `registered with id ${id}, ${COMPATIBILITY}` })
    } else {
      const what =
        before.id === undefined
          ? 'this version is not registered'
          : `its compatibility is ${before.compatibility ?? 'not set'}`
      findings.push({
        state: 'fault',
        subject: name,
        detail: `${what} at ${setup.registry.url}. Run "sidereal setup".`,
      })
    }
  }
  return findings
}

async function inspectSubject(
  http: RegistryHttp,
  timeoutMs: number,
  subject: string,
  json: string,
): Promise<{ id: number | undefined; compatibility: string | undefined }> {
  const path = encodeURIComponent(subject)
  const found = await request(http, timeoutMs, 'POST', `/subjects/${path}`, { schema: json })
  const config = await request(http, timeoutMs, 'GET', `/config/${path}`)
  const id = found?.['id']
  const compatibility = config?.['compatibilityLevel']
  return {
    id: typeof id === 'number' ? id : undefined,
    compatibility: typeof compatibility === 'string' ? compatibility : undefined,
  }
}

/** The registry’s answer, `undefined` for 404. */
async function request(
  http: RegistryHttp,
  timeoutMs: number,
  method: string,
  path: string,
  body?: object,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  let response: RegistryAnswer
  try {
    response = await http.request(method, path, { timeoutMs, body })
  } catch (cause) {
    const fault = tlsFault(cause, REGISTRY_TLS_KEYS)
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      fault === undefined
        ? `No answer from the schema registry at ${http.url}. Check that it runs and SIDEREAL_REGISTRY_URL (http or https?).`
        : `The schema registry at ${http.url} cannot be reached over TLS: ${fault}.`,
      { cause, retryable: true },
    )
  }
  const { status, text } = response
  const answer = parseObject(text)
  // A registry says in numbers what it does not find; any other web server does not.
  if (status === 404 && typeof answer?.['error_code'] === 'number') return undefined
  if (status === 401 || status === 403) {
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      `The schema registry at ${http.url} refuses the credentials (${status}). Check SIDEREAL_REGISTRY_USERNAME and SIDEREAL_REGISTRY_PASSWORD.`,
    )
  }
  if (status < 200 || status >= 300 || answer === undefined) {
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      `What answers at ${http.url} is no schema registry, or one in trouble (status ${status}). Check SIDEREAL_REGISTRY_URL and the registry’s log.`,
      { retryable: status >= 500 },
    )
  }
  return answer
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined
  } catch {
    // Not JSON: the caller says so.
    return undefined
  }
}
