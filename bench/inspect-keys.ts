import { bundledSchema } from '../src/codec/bundled-schemas.ts'
import { RecordHeader } from '../src/codec/record-header.ts'
import { compileRecordType } from '../src/codec/record-type.ts'
import type { WatchedKeys } from '../src/codec/watched-keys.ts'
import { testRecord } from '../src/sinks/fragments.testing.ts'
import { compareByTurns } from './by-turns.ts'
import { benchTrace, SPANS_PER_RECORD } from './data.ts'

/**
 * CPU of the inspection at intake, in microseconds a span: without watched keys, with an empty set, with ten keys that never come, and with
 * two of ten in every span. Run: `node bench/inspect-keys.ts [rounds]`.
 */

const TRACES = 2_000
const START_NS = 1_781_524_800_000_000_000n

const ABSENT = [
  'password',
  'authorization',
  'http.request.header.authorization',
  'cookie',
  'token',
  'api_key',
  'secret',
  'phone',
  'email',
]
const first = benchTrace(0, 1, START_NS)[0]?.spans[0]
const present = (first?.attributes ?? []).slice(0, 2).map(({ key }) => key)
if (present.length < 2) throw new Error('the spans of the bench have fewer than two attributes')

const sets = {
  none: undefined,
  empty: {},
  absent: { attributes: [...ABSENT, 'id_card'], resource: ABSENT },
  present: { attributes: [...ABSENT.slice(0, 8), ...present], resource: ABSENT },
} satisfies Record<string, WatchedKeys | undefined>

const records = Array.from({ length: TRACES }, (_, index) => benchTrace(index, 1, START_NS)).flatMap(
  (batches) => batches.map((batch, place) => testRecord(batch, { offset: place })),
)
const { json } = bundledSchema('sidereal.SpanBatch')
const types = Object.fromEntries(
  Object.entries(sets).map(([name, watchedKeys]) => [
    name,
    compileRecordType(json, 1, {
      payloadLimitBytes: 5120,
      ...(watchedKeys === undefined ? {} : { watchedKeys }),
    }),
  ]),
)
const header = new RecordHeader()
compareByTurns(Object.keys(sets), Number(process.argv[2] ?? 20), (way) => {
  const type = types[way]!
  let hits = 0
  const before = process.cpuUsage()
  for (const { bytes, bodyStart } of records) {
    type.inspect(bytes, bodyStart, bytes.length, header)
    if (header.hasWatchedKey) hits += header.keyHits.count
  }
  const cpu = process.cpuUsage(before)
  const spans = records.length * SPANS_PER_RECORD
  if ((way === 'present') !== hits >= spans) throw new Error(`${way}: ${hits} keys in ${spans} spans`)
  return { spans, cpu }
})
