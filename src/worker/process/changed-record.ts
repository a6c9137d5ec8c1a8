import type { FirstArrival } from '../../model/first-arrival.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import type { SpanBatch } from '../../model/span.ts'
import { isOver } from './is-over.ts'
import { mapStrings } from './map-strings.ts'

/**
 * A record whose large values are payload references. It keeps the references alone, not the decoded record: while a sink is away,
 * a thousand waiting fragments are held as bytes. `bytes` and `hasLargeValue` stay those of the record as it was consumed (a dead letter
 * holds these bytes), so only `decode` gives the changed content.
 */
export class ChangedRecord implements FragmentRecord {
  readonly #original: FragmentRecord
  readonly #references: readonly PayloadReference[]
  readonly #limitBytes: number
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
  readonly isChanged = true
  readonly bodyStart: number
  readonly schemaId: number

  /**
   * @param references of the values over the limit, in the order of `mapStrings`
   * @param repeatedBytes what each row says again, without the values that were moved
   */
  constructor(
    original: FragmentRecord,
    references: readonly PayloadReference[],
    limitBytes: number,
    repeatedBytes: number,
  ) {
    this.#original = original
    this.#references = references
    this.#limitBytes = limitBytes
    this.kind = original.kind
    this.topic = original.topic
    this.partition = original.partition
    this.offset = original.offset
    this.receivedAtMs = original.receivedAtMs
    this.firstArrival = original.firstArrival
    this.byteLength = original.byteLength
    this.rowCount = original.rowCount
    this.repeatedBytes = repeatedBytes
    this.hasLargeValue = original.hasLargeValue
    this.day = original.day
    this.bodyStart = original.bodyStart
    this.schemaId = original.schemaId
  }

  get bytes(): Buffer {
    return this.#original.bytes
  }

  get memory(): Buffer {
    return this.#original.memory
  }

  get memoryStart(): number {
    return this.#original.memoryStart
  }

  decode(): SpanBatch | NodeTraceLog {
    let place = 0
    return mapStrings(this.#original.decode(), (text) => {
      if (!isOver(text, this.#limitBytes)) return text
      const reference = this.#references[place]
      place += 1
      if (reference === undefined) throw new Error('a record decodes to more large values than it did before')
      return reference
    })
  }
}
