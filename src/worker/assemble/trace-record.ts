import type { RecordType } from '../../codec/record-type.ts'
import { BODY_START } from '../../codec/wire.ts'
import { headerBytes, type RecordHeaders } from '../../model/dead-letter.ts'
import type { FirstArrival } from '../../model/first-arrival.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { NodeTraceLog } from '../../model/node-trace-log.ts'
import type { SpanBatch } from '../../model/span.ts'
import type { Slab, SlabPlace } from './slabs.ts'

/** One record of an open trace or of a fragment: where its bytes lie, and the few figures that are asked often. */
export class TraceRecord implements FragmentRecord, SlabPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly receivedAtMs: number
  readonly firstArrival: FirstArrival | undefined
  readonly rowCount: number
  readonly repeatedBytes: number
  readonly hasLargeValue: boolean
  readonly day: number
  readonly storedBytes: number
  readonly type: RecordType
  /** Headers of the record as it came, for the dead-letter topic; `null` = none. */
  readonly headers: RecordHeaders | null
  readonly headerBytes: number
  slab: Slab | null = null
  start = 0
  isPinned = false

  constructor(
    place: { readonly topic: string; readonly partition: number },
    offset: number,
    appendTimeMs: number,
    firstArrival: FirstArrival | undefined,
    type: RecordType,
    about: {
      readonly rowCount: number
      readonly repeatedBytes: number
      readonly hasLargeValue: boolean
      readonly day: number
    },
    storedBytes: number,
    headers: RecordHeaders | null,
  ) {
    this.topic = place.topic
    this.partition = place.partition
    this.offset = offset
    this.receivedAtMs = firstArrival?.appendTimeMs ?? appendTimeMs
    this.firstArrival = firstArrival
    this.rowCount = about.rowCount
    this.repeatedBytes = about.repeatedBytes
    this.hasLargeValue = about.hasLargeValue
    this.day = about.day
    this.storedBytes = storedBytes
    this.type = type
    this.headers = headers
    this.headerBytes = headers === null ? 0 : headerBytes(headers)
  }

  get kind(): 'spans' | 'log' {
    return this.type.kind
  }

  get schemaId(): number {
    return this.type.schemaId
  }

  get byteLength(): number {
    return this.storedBytes - BODY_START
  }

  get bodyStart(): number {
    return BODY_START
  }

  get bytes(): Buffer {
    return this.#slab().buffer.subarray(this.start, this.start + this.storedBytes)
  }

  get memory(): Buffer {
    return this.#slab().buffer
  }

  get contentStart(): number {
    return this.start + BODY_START
  }

  get contentEnd(): number {
    return this.start + this.storedBytes
  }

  decode(): SpanBatch | NodeTraceLog {
    return this.type.decode(this.memory, this.contentStart, this.contentEnd)
  }

  #slab(): Slab {
    if (this.slab === null)
      throw new Error('the bytes of a record were asked for after its fragment was released')
    return this.slab
  }
}
