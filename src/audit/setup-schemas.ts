import { SiderealError } from '../model/errors.ts'
import type { Finding, SetupMode } from './finding.ts'

export interface RegistryAddress {
  readonly url: string
  readonly auth?: { readonly username: string; readonly password: string }
}

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
  for (const { subject, json } of setup.schemas) {
    const name = `schema ${subject}`
    const before = await inspectSubject(setup, subject, json)
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
  setup: SchemaSetup,
  subject: string,
  json: string,
): Promise<{ id: number | undefined; compatibility: string | undefined }> {
  const path = encodeURIComponent(subject)
  const found = await request(setup, `/subjects/${path}`, {
    method: 'POST',
    body: JSON.stringify({ schema: json }),
  })
  const config = await request(setup, `/config/${path}`, { method: 'GET' })
  const id = found?.['id']
  const compatibility = config?.['compatibilityLevel']
  return {
    id: typeof id === 'number' ? id : undefined,
    compatibility: typeof compatibility === 'string' ? compatibility : undefined,
  }
}

/** The registry’s answer, `undefined` for 404. */
async function request(
  { registry, timeoutMs }: SchemaSetup,
  path: string,
  init: { method: string; body?: string },
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const headers: Record<string, string> = { 'content-type': 'application/vnd.schemaregistry.v1+json' }
  if (registry.auth !== undefined) {
    const { username, password } = registry.auth
    headers['authorization'] = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  }
  let response: Response
  let text: string
  try {
    response = await fetch(registry.url + path, { ...init, headers, signal: AbortSignal.timeout(timeoutMs) })
    text = await response.text()
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      `No answer from the schema registry at ${registry.url}. Check that it runs and SIDEREAL_REGISTRY_URL.`,
      { cause, retryable: true },
    )
  }
  const answer = parseObject(text)
  // A registry says in numbers what it does not find; any other web server does not.
  if (response.status === 404 && typeof answer?.['error_code'] === 'number') return undefined
  if (response.status === 401 || response.status === 403) {
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      `The schema registry at ${registry.url} refuses the credentials (${response.status}). Check SIDEREAL_REGISTRY_USERNAME and SIDEREAL_REGISTRY_PASSWORD.`,
    )
  }
  if (!response.ok || answer === undefined) {
    throw new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      `What answers at ${registry.url} is no schema registry, or one in trouble (status ${response.status}). Check SIDEREAL_REGISTRY_URL and the registry’s log.`,
      { retryable: response.status >= 500 },
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
