import { Readable } from 'node:stream'
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
import { readPemFile } from '../../codec/pem-file.ts'
import { SiderealError } from '../../model/errors.ts'
import { CLICKHOUSE_TLS_KEYS, toClickHouseError } from './errors.ts'

export interface ClickHouseOptions {
  /** HTTP(S) interface, such as `http://127.0.0.1:8123`. */
  url: string
  database: string
  username?: string | undefined
  password?: string | undefined
  /** PEM file of the authority that signed the server's certificate. Default: the system's authorities. */
  caPath?: string | undefined
  /** Time that one request may take. */
  requestTimeoutMs: number
  /** Compress what is inserted (zstd, level 1). Default: only for a server on another machine. */
  compressInserts?: boolean
}

export type QueryParameters = Readonly<Record<string, unknown>>

/**
 * Inserts are synchronous (26.x servers default to asynchronous), rows are not collapsed at insert (it doubles the cost), and no
 * token deduplicates: identity does, tokens drop data. The server answers only when all is written, so that an error is a status.
 */
const INSERT_SETTINGS: ClickHouseSettings = {
  async_insert: 0,
  optimize_on_insert: 0,
  insert_deduplicate: 0,
  wait_end_of_query: 1,
}

/** Answers of inserts are empty; an exception is a few hundred bytes. What goes beyond is not kept. */
const MAX_ANSWER_BYTES = 65_536
const EXCEPTION = /Code: (\d+)\. (?:DB::)?Exception/

/**
 * A thin wrapper over the official client: typed rows, Native inserts, and errors that say what they mean
 * (see {@link toClickHouseError}). One instance a process; safe for concurrent calls.
 */
export class ClickHouse {
  readonly url: string
  readonly database: string
  readonly #client: ClickHouseClient
  readonly #options: ClickHouseOptions

  constructor(options: ClickHouseOptions) {
    this.#options = options
    this.url = withoutCredentials(options.url)
    this.database = options.database
    const isCompressed = options.compressInserts ?? !isLoopback(options.url)
    this.#client = createClient({
      url: options.url,
      database: options.database,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...tlsOptions(options),
      application: 'sidereal',
      // The client would print server messages, which may quote values of rows.
      log: { level: ClickHouseLogLevel.OFF },
      request_timeout: options.requestTimeoutMs,
      max_open_connections: 16,
      compression: { request: isCompressed ? { codec: 'zstd', level: 1 } : false, response: false },
    })
  }

  /** Rows of a query; parameters stand in it as `{name:Type}`. 64-bit integers come as strings. */
  async query<Row>(sql: string, parameters: QueryParameters = {}, signal?: AbortSignal): Promise<Row[]> {
    try {
      const result = await this.#client.query({
        query: sql,
        format: 'JSONEachRow',
        query_params: { ...parameters },
        clickhouse_settings: { output_format_json_quote_64bit_integers: 1, wait_end_of_query: 1 },
        ...(signal === undefined ? {} : { abort_signal: signal }),
      })
      return await result.json<Row>()
    } catch (error) {
      throw toClickHouseError(error, 'a query', this.url)
    }
  }

  /** Runs a statement that returns nothing (DDL and the like). */
  async command(sql: string, parameters: QueryParameters = {}): Promise<void> {
    try {
      await this.#client.command({
        query: sql,
        query_params: { ...parameters },
        clickhouse_settings: { wait_end_of_query: 1 },
      })
    } catch (error) {
      throw toClickHouseError(error, 'a statement', this.url)
    }
  }

  /**
   * Inserts blocks in Native format. Resolves when the server has stored all of it. Rejects with `SIDEREAL_ROW_REFUSED` when some row
   * is at fault, else with a retryable error; part of it may be stored then.
   */
  async insertNative(
    table: string,
    columns: readonly string[],
    chunks: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<void> {
    const names = columns.map((column) => `\`${column}\``).join(', ')
    const doing = `inserting into ${table}`
    try {
      const result = await this.#client.exec({
        query: `INSERT INTO ${table} (${names}) FORMAT Native`,
        values: Readable.from(chunks, { objectMode: false }),
        clickhouse_settings: INSERT_SETTINGS,
        ...(signal === undefined ? {} : { abort_signal: signal }),
      })
      await checkAnswer(result.stream)
    } catch (error) {
      throw toClickHouseError(error, doing, this.url)
    }
  }

  /** The same server with another current database. The caller closes it. */
  withDatabase(database: string): ClickHouse {
    return new ClickHouse({ ...this.#options, database })
  }

  /** Rejects when the server does not answer in `timeoutMs` or does not take the credentials. */
  async ping(timeoutMs = 10_000): Promise<void> {
    const result = await this.#client.ping({ select: true, abort_signal: AbortSignal.timeout(timeoutMs) })
    if (!result.success) throw toClickHouseError(result.error, 'a ping', this.url)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}

export function openClickHouse(options: ClickHouseOptions): ClickHouse {
  return new ClickHouse(options)
}

function tlsOptions({ url, caPath }: ClickHouseOptions): { tls?: { ca_cert: Buffer } } {
  if (caPath === undefined || !/^https:/i.test(url)) return {}
  return { tls: { ca_cert: Buffer.from(readPemFile(caPath, CLICKHOUSE_TLS_KEYS.ca)) } }
}

/** The server may fail after it has answered 200: the exception then stands in the body. */
async function checkAnswer(stream: AsyncIterable<unknown>): Promise<void> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of stream) {
    if (!(part instanceof Uint8Array) || size >= MAX_ANSWER_BYTES) continue
    parts.push(Buffer.from(part))
    size += part.byteLength
  }
  const text = Buffer.concat(parts).toString('utf8').trim()
  if (text === '') return
  const match = EXCEPTION.exec(text)
  if (match === null) {
    throw new SiderealError(
      'SIDEREAL_CLICKHOUSE_FAILED',
      'ClickHouse answered an insert with an unknown text.',
      {
        retryable: true,
      },
    )
  }
  const type = /\(([A-Z_]{3,})\)/.exec(text)?.[1]
  throw new ClickHouseError({ message: text, code: match[1] ?? '', ...(type === undefined ? {} : { type }) })
}

/** True for a server on this machine: compressing for it costs more than it saves. */
export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function withoutCredentials(url: string): string {
  const parsed = new URL(url)
  return `${parsed.protocol}//${parsed.host}`
}
