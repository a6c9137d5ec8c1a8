import { AvroOutput } from '../../codec/avro-output.ts'
import { type Cut, type LargeValueWalk, writeWithReferences } from '../../codec/large-values.ts'
import { RecordHeader } from '../../codec/record-header.ts'
import type { FirstArrival } from '../../model/first-arrival.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'

/** Where records are written anew: memory that one of them has at a time. */
export class ChangedContent {
  readonly header = new RecordHeader()
  readonly #out = new AvroOutput()
  #holder: ChangedRecord | undefined

  /** The content of a record, from the start of the memory on. Valid until another one is asked for. */
  of(record: ChangedRecord): Buffer {
    if (this.#holder !== record) {
      this.#holder = undefined
      this.#out.begin(0)
      record.writeTo(this.#out)
      this.#holder = record
    }
    return this.#out.memory
  }

  get length(): number {
    return this.#out.position
  }
}

/**
 * A record in which references stand in the place of large values, as if its producer had stored them. It keeps the references and where they
 * belong, and is written anew by whoever reads it: while a sink is away, a thousand waiting fragments are held once. `bytes`, `byteLength` and `hasLargeValue` stay those of
 * the record as it was consumed (a dead letter holds these bytes).
 */
export class ChangedRecord implements FragmentRecord {
  readonly #original: FragmentRecord
  readonly #cuts: readonly Cut[]
  readonly #references: readonly PayloadReference[]
  readonly #walk: LargeValueWalk
  readonly #content: ChangedContent
  readonly kind: 'spans' | 'log'
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly receivedAtMs: number
  readonly firstArrival: FirstArrival | undefined
  readonly byteLength: number
  readonly rowCount: number
  readonly repeatedBytes: number
  readonly hasLargeValue: boolean
  readonly day: number
  readonly bodyStart: number
  readonly schemaId: number
  readonly contentStart = 0
  readonly contentEnd: number

  /**
   * @param references for the values among the cuts, in their order
   * @throws SiderealError `SIDEREAL_RECORD_INVALID` when the writer's schema takes no references at such a place: deeper than values may be nested
   */
  constructor(
    original: FragmentRecord,
    cuts: readonly Cut[],
    references: readonly PayloadReference[],
    walk: LargeValueWalk,
    content: ChangedContent,
  ) {
    this.#original = original
    this.#cuts = cuts
    this.#references = references
    this.#walk = walk
    this.#content = content
    this.kind = original.kind
    this.topic = original.topic
    this.partition = original.partition
    this.offset = original.offset
    this.receivedAtMs = original.receivedAtMs
    this.firstArrival = original.firstArrival
    this.byteLength = original.byteLength
    this.rowCount = original.rowCount
    this.hasLargeValue = original.hasLargeValue
    this.bodyStart = original.bodyStart
    this.schemaId = original.schemaId
    const memory = content.of(this)
    this.contentEnd = content.length
    walk.type.inspect(memory, 0, this.contentEnd, content.header)
    this.day = content.header.day
    this.repeatedBytes = content.header.repeatedBytes
  }

  get bytes(): Buffer {
    return this.#original.bytes
  }

  get memory(): Buffer {
    return this.#content.of(this)
  }

  decode(): SpanBatch | NodeTraceLog {
    return this.#walk.type.decode(this.memory, 0, this.contentEnd)
  }

  writeTo(out: AvroOutput): void {
    const { memory, contentStart, contentEnd } = this.#original
    const references = this.#references
    writeWithReferences(out, memory, contentStart, contentEnd, this.#cuts, (place) =>
      this.#walk.writeReference(out, references[place]!),
    )
  }
}
