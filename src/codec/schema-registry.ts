import { isSiderealError, SiderealError } from '../model/errors.ts'
import { tlsFault } from '../model/tls-fault.ts'
import { compileRecordType, type RecordType } from './record-type.ts'
import {
  REGISTRY_TLS_KEYS,
  type RegistryAddress,
  type RegistryAnswer,
  RegistryHttp,
} from './registry-http.ts'

/** What the registry says of a subject, and of a schema or its id, that it does not have. */
const NOT_FOUND: readonly unknown[] = [40401, 40403]
/** Schema ids are Java's `int`. Asked for a greater one, a real registry says what it says of any wrong path. */
const MAX_SCHEMA_ID = 0x7fffffff
const COMPATIBILITY = 'FULL_TRANSITIVE'
/** A garbage record may name any id, so ids that are not there are remembered, but not without bound. */
const MAX_REMEMBERED_FAILURES = 10_000

export interface SchemaRegistryOptions extends RegistryAddress {
  /** For each request. */
  timeoutMs: number
  payloadLimitBytes: number
  /** How long a schema id that the registry does not have, or that is of something else, is not asked for again. Default 30 s. */
  unknownTtlMs?: number
  /** Milliseconds that never go back. Default: the process's. */
  monotonicMs?: () => number
}

/** Subject of a record in a topic (TopicRecordNameStrategy): both record types share a topic, and each has its own versions. */
export function subjectFor(topic: string, recordName: string): string {
  return `${topic}-${recordName}`
}

/**
 * Client of a Confluent-compatible schema registry that keeps compiled record types. Schema ids are for ever, so what was fetched once
 * is never asked for again.
 */
export class SchemaRegistry {
  readonly #options: SchemaRegistryOptions
  readonly #http: RegistryHttp
  readonly #types = new Map<number, RecordType>()
  readonly #underWay = new Map<number, Promise<RecordType>>()
  readonly #failures = new Map<number, { error: SiderealError; untilMs: number }>()
  readonly #monotonicMs: () => number

  constructor(options: SchemaRegistryOptions) {
    this.#options = options
    this.#http = new RegistryHttp(options)
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  /** The record type of a schema id if it is here already. */
  cached(id: number): RecordType | undefined {
    return this.#types.get(id)
  }

  /**
   * The record type of a schema id; one request at a time for each id.
   * @throws SiderealError `SIDEREAL_SCHEMA_UNKNOWN` when the registry does not have the id, `SIDEREAL_SCHEMA_INCOMPATIBLE` when it is not a
   * schema of a Sidereal record (both are remembered for a while), `SIDEREAL_REGISTRY_UNAVAILABLE` (retryable) when the registry
   * does not answer
   */
  async fetch(id: number): Promise<RecordType> {
    const cached = this.#types.get(id)
    if (cached !== undefined) return cached
    if (id > MAX_SCHEMA_ID) {
      throw new SiderealError('SIDEREAL_SCHEMA_UNKNOWN', `no schema registry has an id like ${id}`)
    }
    const failure = this.#failures.get(id)
    if (failure !== undefined) {
      if (this.#monotonicMs() < failure.untilMs) throw failure.error
      this.#failures.delete(id)
    }
    let request = this.#underWay.get(id)
    if (request === undefined) {
      request = this.#load(id).finally(() => this.#underWay.delete(id))
      this.#underWay.set(id, request)
    }
    return request
  }

  /**
   * Registers a schema and returns its id; the same schema has the same id. Sets the subject to FULL_TRANSITIVE first, since the
   * registry's default would let incompatible versions in.
   * @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when the registry refuses it beside the earlier versions
   */
  async register(subject: string, schemaJson: string): Promise<number> {
    const path = encodeURIComponent(subject)
    await this.#request('PUT', `/config/${path}`, { compatibility: COMPATIBILITY })
    const answer = await this.#request('POST', `/subjects/${path}/versions`, { schema: schemaJson })
    const id = property(answer, 'id')
    if (!isSchemaId(id)) throw this.#unavailable(`registering ${subject}: the answer has no id`)
    return id
  }

  /**
   * The id of a schema, which is registered only where it is not there yet: services may have rights to read alone, and `setup` has been here before.
   * @throws SiderealError as `register`
   */
  async idOf(subject: string, schemaJson: string): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}`
    try {
      const id = property(await this.#request('POST', path, { schema: schemaJson }), 'id')
      if (isSchemaId(id)) return id
    } catch (error) {
      if (!isSiderealError(error, 'SIDEREAL_SCHEMA_UNKNOWN')) throw error
    }
    return await this.register(subject, schemaJson)
  }

  /** Resolves when the registry answers. @throws SiderealError `SIDEREAL_REGISTRY_UNAVAILABLE` */
  async check(): Promise<void> {
    await this.#request('GET', '/config')
  }

  async #load(id: number): Promise<RecordType> {
    try {
      const answer = await this.#request('GET', `/schemas/ids/${id}`)
      const schema = property(answer, 'schema')
      const kind = property(answer, 'schemaType') ?? 'AVRO'
      if (kind !== 'AVRO') throw incompatible(`schema ${id} is of the type ${String(kind)} and not AVRO`)
      if (typeof schema !== 'string') throw this.#unavailable(`schema ${id}: the answer has no schema`)
      const { payloadLimitBytes } = this.#options
      const type = compileRecordType(schema, id, { payloadLimitBytes })
      this.#types.set(id, type)
      return type
    } catch (error) {
      if (
        isSiderealError(error, 'SIDEREAL_SCHEMA_UNKNOWN') ||
        isSiderealError(error, 'SIDEREAL_SCHEMA_INCOMPATIBLE')
      ) {
        this.#remember(id, error)
      }
      throw error
    }
  }

  #remember(id: number, error: SiderealError): void {
    if (this.#failures.size >= MAX_REMEMBERED_FAILURES) {
      const oldest = this.#failures.keys().next()
      if (!oldest.done) this.#failures.delete(oldest.value)
    }
    this.#failures.set(id, { error, untilMs: this.#monotonicMs() + (this.#options.unknownTtlMs ?? 30_000) })
  }

  async #request(method: string, path: string, body?: object): Promise<unknown> {
    let answer: RegistryAnswer
    try {
      answer = await this.#http.request(method, path, { timeoutMs: this.#options.timeoutMs, body })
    } catch (cause) {
      throw this.#unavailable(`${method} ${path} did not succeed`, cause)
    }
    const { status, text, location } = answer
    const content = parse(text)
    if (status >= 200 && status < 300 && content !== undefined) return content
    if (location !== undefined) {
      throw this.#unavailable(`it redirects (${status}) to ${withoutCredentials(location)}: use that address`)
    }
    throw this.#refusal(method, path, status, content)
  }

  #refusal(method: string, path: string, status: number, answer: unknown): SiderealError {
    const code = property(answer, 'error_code')
    const said = property(answer, 'message')
    const message = typeof said === 'string' ? said.slice(0, 2000) : 'no message'
    // A proxy in front of a registry answers 404 as well; only the registry's own code says that the schema does not exist.
    if (status === 404 && NOT_FOUND.includes(code)) {
      return new SiderealError(
        'SIDEREAL_SCHEMA_UNKNOWN',
        `the schema registry ${this.#http.url} has no ${path}: ${message}`,
      )
    }
    if (status === 409 || status === 422) {
      return incompatible(
        `the schema registry ${this.#http.url} refuses ${method} ${path} (${status}): ${message}`,
      )
    }
    if (status === 401 || status === 403) {
      return new SiderealError(
        'SIDEREAL_REGISTRY_UNAVAILABLE',
        `the schema registry ${this.#http.url} refuses the credentials (${status}): check SIDEREAL_REGISTRY_USERNAME and SIDEREAL_REGISTRY_PASSWORD`,
        { retryable: true },
      )
    }
    return this.#unavailable(`${method} ${path} was answered with status ${status}: ${message}`)
  }

  #unavailable(what: string, cause?: unknown): SiderealError {
    const start = `schema registry at ${this.#http.url}: ${what}`
    const fault = tlsFault(cause, REGISTRY_TLS_KEYS)
    const reason = cause instanceof Error ? `: ${reasonOf(cause)}` : ''
    return new SiderealError(
      'SIDEREAL_REGISTRY_UNAVAILABLE',
      fault === undefined
        ? `${start}${reason}. Check SIDEREAL_REGISTRY_URL (http or https?) and that the registry runs.`
        : `${start}: ${fault}.`,
      { cause, retryable: true },
    )
  }
}

/** An abort says only that it was one; why is in its cause. */
function reasonOf(error: Error): string {
  if (error.cause instanceof Error && error.cause.message !== '') return error.cause.message
  // Of several addresses of a host none answered: the error has a code and no words.
  return error.message === '' && 'code' in error ? String(error.code) : error.message
}

function withoutCredentials(location: string): string {
  const url = URL.canParse(location) ? new URL(location) : undefined
  return url === undefined ? 'another path' : `${url.protocol}//${url.host}${url.pathname}`
}

function incompatible(message: string): SiderealError {
  return new SiderealError('SIDEREAL_SCHEMA_INCOMPATIBLE', message)
}

function property(answer: unknown, name: string): unknown {
  return typeof answer === 'object' && answer !== null && Object.hasOwn(answer, name)
    ? Reflect.get(answer, name)
    : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function isSchemaId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) <= MAX_SCHEMA_ID
}
