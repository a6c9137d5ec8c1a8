import { SchemaWalks } from '../src/codec/schema-walks.ts'
import { RowSet, RowsPools } from '../src/sinks/clickhouse/row-set.ts'
import { compileSpanWalk } from '../src/sinks/clickhouse/span-bytes-walk.ts'
import { testRecord, testRecordType } from '../src/sinks/fragments.testing.ts'
import { benchTrace, SPANS_PER_RECORD } from './data.ts'

/**
 * CPU from records to blocks of `spans` and `id_lookup`, in microseconds a span: the feeder over bytes beside the one over objects (decoding
 * included). Sending is not in it. Run: `node bench/feeders.ts [rounds]`.
 */

const TRACES = 2_000
const START_NS = 1_781_524_800_000_000_000n

const records = Array.from({ length: TRACES }, (_, index) => benchTrace(index, 1, START_NS)).flatMap(
  (batches) => batches.map((batch, place) => testRecord(batch, { offset: place })),
)
const pools = new RowsPools()
const feeders = { objects: undefined, bytes: new SchemaWalks(testRecordType, compileSpanWalk) }
const figures: Record<keyof typeof feeders, number[]> = { objects: [], bytes: [] }
const rounds = Number(process.argv[2] ?? 20)
for (let round = 0; round < rounds; round++) {
  for (const [name, walks] of Object.entries(feeders)) {
    const rows = new RowSet(pools, { maxDays: 100, maxRows: 100_000 }, undefined, walks)
    const before = process.cpuUsage()
    for (const record of records) rows.add(record)
    for (const { open } of rows.blocks()) open.rows.block.finish()
    const { user, system } = process.cpuUsage(before)
    rows.release()
    figures[name as keyof typeof feeders].push((user + system) / (records.length * SPANS_PER_RECORD))
  }
}
for (const [name, values] of Object.entries(figures)) {
  values.sort((a, b) => a - b)
  const median = values[values.length >> 1] ?? 0
  process.stdout.write(
    `${name.padEnd(8)} ${median.toFixed(2)} µs of CPU a span (median of ${rounds}, least ${values[0]?.toFixed(2)})\n`,
  )
}
