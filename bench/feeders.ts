import { SchemaWalks } from '../src/codec/schema-walks.ts'
import { RowSet, RowsPools } from '../src/sinks/clickhouse/row-set.ts'
import { compileSpanWalk } from '../src/sinks/clickhouse/span-bytes-walk.ts'
import { testRecord, testRecordType } from '../src/sinks/fragments.testing.ts'
import { compareByTurns } from './by-turns.ts'
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
compareByTurns(['objects', 'bytes'], Number(process.argv[2] ?? 20), (way) => {
  const rows = new RowSet(pools, { maxDays: 100, maxRows: 100_000 }, undefined, feeders[way])
  const before = process.cpuUsage()
  for (const record of records) rows.add(record)
  for (const { open } of rows.blocks()) open.rows.block.finish()
  const cpu = process.cpuUsage(before)
  rows.release()
  return { spans: records.length * SPANS_PER_RECORD, cpu }
})
