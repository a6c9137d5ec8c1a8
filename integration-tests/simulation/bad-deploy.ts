import type { LogEntry } from './kafka-log.ts'
import type { ProducedRecord, TableName } from './records.ts'
import { LOG_SCHEMA_ID, SPANS_SCHEMA_ID } from './traces.ts'

/** Schemas of a deployment that writes before anybody has registered them: the registry has them once it is mended. */
export const DEPLOYED_SPANS_SCHEMA_ID = 79
export const DEPLOYED_LOG_SCHEMA_ID = 80

/**
 * A deployment that makes good records unusable: `schema` = its producers write with a schema that the registry does not have; `rows` = the
 * tables got a constraint that refuses what they write. Until it is mended, each such record may become a dead letter, up to the caps.
 */
export class BadDeploy {
  readonly #refused = new Set<string>()
  #producing: { how: 'schema' | 'rows'; share: number } | null = null
  readonly #variants = new Map<ProducedRecord, ProducedRecord>()
  isMended = false

  begin(how: 'schema' | 'rows', share: number): void {
    this.#producing = { how, share }
  }

  /** Producers are as before; what they wrote stays. */
  end(): void {
    this.#producing = null
  }

  /** From now on the records that were written meanwhile are good ones. */
  mend(): void {
    this.isMended = true
    this.end()
  }

  /** The record as it is written now. A repetition is the same one. */
  write(record: ProducedRecord): ProducedRecord {
    const how = this.#producing?.how
    const { model, value } = record
    if (how === undefined || model === null || value === null || record.end !== 'rows') return record
    if ((record.id * 7) % 10 >= this.#producing!.share * 10) return record
    const variant =
      this.#variants.get(record) ??
      (how === 'rows'
        ? { ...record, mayEnd: 'refused' as const }
        : {
            ...record,
            mayEnd: 'schema_unknown' as const,
            value: withDeployedSchema(value, 'spans' in model),
          })
    this.#variants.set(record, variant)
    return variant
  }

  /** A record that the tables refuse while the constraint is there. */
  noteAppended({ record, appendTimeMs }: LogEntry): void {
    if (record?.mayEnd !== 'refused') return
    const version = (BigInt(record.revision) << 48n) + BigInt(appendTimeMs)
    for (const { table, key } of record.rows) this.#refused.add(`${table} ${key} ${version}`)
  }

  refuses(table: TableName, key: string, version: bigint): boolean {
    return !this.isMended && this.#refused.has(`${table} ${key} ${version}`)
  }

  hasSchema(id: number): boolean {
    return this.isMended || (id !== DEPLOYED_SPANS_SCHEMA_ID && id !== DEPLOYED_LOG_SCHEMA_ID)
  }
}

function withDeployedSchema(value: Buffer, isSpans: boolean): Buffer {
  const framed = Buffer.from(value)
  const before = framed.readUInt32BE(1)
  if (before !== (isSpans ? SPANS_SCHEMA_ID : LOG_SCHEMA_ID))
    throw new Error(`schema ${before} was not expected`)
  framed.writeUInt32BE(isSpans ? DEPLOYED_SPANS_SCHEMA_ID : DEPLOYED_LOG_SCHEMA_ID, 1)
  return framed
}
