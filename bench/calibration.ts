import { avscType } from '../src/codec/avsc-oracle.testing.ts'
import { bundledSchema } from '../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../src/codec/record-writer.ts'
import { BODY_START } from '../src/codec/wire.ts'
import { benchTrace, SPANS_PER_TRACE } from './data.ts'

const TRACES = 1_000
const ROUNDS = 16
const START_NS = 1_790_000_000_000_000_000n

/**
 * CPU that avsc needs to decode the same data on this machine at this moment: a fixed piece of work, so that figures of different machines and
 * hours can be compared by their ratio to it.
 */
export class Calibration {
  readonly #type = avscType(bundledSchema('sidereal.SpanBatch').json)
  readonly #bodies: readonly Buffer[]

  constructor() {
    const writer = new RecordWriter()
    this.#bodies = Array.from({ length: TRACES }, (_, index) => benchTrace(index, 1, START_NS)).flatMap(
      (batches) => batches.map((batch) => writer.encodeSpanBatch(batch, 1).subarray(BODY_START)),
    )
    // The first time also compiles.
    this.slice()
  }

  /** µs a span, on average over 12,000 of them: about 50 ms. */
  slice(): number {
    const before = process.cpuUsage()
    for (const body of this.#bodies) this.#type.fromBuffer(body)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / (TRACES * SPANS_PER_TRACE)
  }
}

/** µs a span, the best of 16 slices, since what disturbs one only makes it dearer. */
export function calibrate(): number {
  const calibration = new Calibration()
  return Math.min(...Array.from({ length: ROUNDS }, () => calibration.slice()))
}
