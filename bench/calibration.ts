import { avscType } from '../src/codec/avsc-oracle.testing.ts'
import { bundledSchema } from '../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../src/codec/record-writer.ts'
import { BODY_START } from '../src/codec/wire.ts'
import { benchTrace, SPANS_PER_TRACE } from './data.ts'

const TRACES = 1_000
const ROUNDS = 16

/**
 * CPU µs a span that avsc needs to decode the same data on this machine at this moment: a fixed piece of work, so that figures of
 * different machines and hours can be compared by their ratio to it. The best of 16 rounds, since what disturbs one only makes it dearer.
 */
export function calibrate(): number {
  const writer = new RecordWriter()
  const type = avscType(bundledSchema('sidereal.SpanBatch').json)
  const bodies: Buffer[] = []
  for (let index = 0; index < TRACES; index++) {
    for (const batch of benchTrace(index, 1, 1_790_000_000_000_000_000n)) {
      bodies.push(writer.encodeSpanBatch(batch, 1).subarray(BODY_START))
    }
  }
  const rounds = Array.from({ length: ROUNDS }, () => {
    const before = process.cpuUsage()
    for (const body of bodies) type.fromBuffer(body)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / (TRACES * SPANS_PER_TRACE)
  })
  return Math.min(...rounds)
}
