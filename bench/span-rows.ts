import { RowSet, RowsPools } from '../src/sinks/clickhouse/row-set.ts'
import { testBatch, testRecord, testSpan, testSpanId, testTraceId } from '../src/sinks/fragments.testing.ts'

/**
 * CPU of the object feeder alone, in microseconds a span: 4 spans a record, 11 attributes and an event a span, 6 resource attributes.
 * Decoding and sending are not in it. Run: `node bench/span-rows.ts [rounds]`.
 */

const RECORDS = 5_000
const SPANS = 4
const METHODS = ['GET', 'POST', 'PUT']

const services = ['entry', 'workflow', 'tools']
const records = Array.from({ length: RECORDS }, (_, n) => {
  const trace = Math.floor(n / 3)
  const service = services[n % 3] ?? 'entry'
  const batch = testBatch({
    sid: `wfe000${trace}@cd0000000001`,
    chatId: `chat-${trace % 500}`,
    uid: `user-${trace % 200}`,
    resource: {
      attributes: [
        { key: 'service.name', value: service },
        { key: 'service.version', value: '1.4.2' },
        { key: 'service.instance.id', value: `${service}-${n % 4}` },
        { key: 'deployment.environment.name', value: 'production' },
        { key: 'host.name', value: `host-${n % 8}` },
        { key: 'telemetry.sdk.language', value: 'nodejs' },
      ],
      droppedAttributesCount: 0,
      schemaUrl: '',
      entityRefs: [],
    },
    spans: Array.from({ length: SPANS }, (_, i) =>
      testSpan({
        traceId: testTraceId(trace),
        spanId: testSpanId(n * SPANS + i),
        parentSpanId: i === 0 ? null : testSpanId(n * SPANS),
        name: `operation ${i}`,
        startTimeNs: 1_781_524_800_000_000_000n + BigInt(n * 1_000_003 + i),
        endTimeNs: 1_781_524_800_000_000_000n + BigInt(n * 1_000_003 + 7_000_000),
        attributes: [
          { key: 'sid', value: `wfe000${trace}@cd0000000001` },
          { key: 'app_id', value: 'app-1' },
          { key: 'uid', value: `user-${trace % 200}` },
          { key: 'chat_id', value: `chat-${trace % 500}` },
          { key: 'http.request.method', value: METHODS[n % 3] ?? 'GET' },
          { key: 'http.route', value: '/v1/chat/completions' },
          { key: 'http.response.status_code', value: 200n },
          { key: 'gen_ai.request.model', value: 'qwen-max' },
          { key: 'gen_ai.usage.input_tokens', value: BigInt(n * 7) },
          { key: 'score', value: n / 7 },
          { key: 'cached', value: n % 2 === 0 },
        ],
        events: [
          {
            timeNs: 1_781_524_800_000_000_000n + BigInt(n),
            name: 'INFO',
            attributes: [{ key: 'INFO LOG', value: `step ${i} of request ${n} has ended as it should` }],
            droppedAttributesCount: 0,
          },
        ],
      }),
    ),
  })
  const record = testRecord(batch, { offset: n })
  const decoded = record.decode()
  return { ...record, decode: () => decoded }
})

const pools = new RowsPools()
const rounds = Number(process.argv[2] ?? 20)
const figures: number[] = []
let bytes = 0
for (let round = 0; round < rounds; round++) {
  const rows = new RowSet(pools, { maxDays: 100, maxRows: 100_000 })
  const before = process.cpuUsage()
  for (const record of records) rows.add(record)
  bytes = 0
  for (const { open } of rows.blocks()) {
    for (const piece of open.rows.block.finish()) bytes += piece.byteLength
  }
  const { user, system } = process.cpuUsage(before)
  rows.release()
  figures.push((user + system) / (RECORDS * SPANS))
}
figures.sort((a, b) => a - b)
const median = figures[figures.length >> 1] ?? 0
process.stdout.write(
  `object feeder: ${median.toFixed(2)} µs of CPU a span (median of ${rounds}, least ${figures[0]?.toFixed(2)}), ${Math.round(bytes / (RECORDS * SPANS))} bytes a span\n`,
)
