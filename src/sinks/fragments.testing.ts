import { bundledSchema } from '../codec/bundled-schemas.ts'
import { FactsCollector } from '../codec/facts.ts'
import { RecordHeader } from '../codec/record-header.ts'
import { compileRecordType, type RecordType } from '../codec/record-type.ts'
import { RecordWriter } from '../codec/record-writer.ts'
import { BODY_START } from '../codec/wire.ts'
import type { CloseReason, Fragment, FragmentRecord } from '../model/fragment.ts'
import type { NodeLog, NodeTraceLog } from '../model/node-trace-log.ts'
import type { Span, SpanBatch } from '../model/span.ts'

/** Fragments as the worker makes them, through the real codec, for the tests of sinks. */

const SPANS_SCHEMA_ID = 1
const LOG_SCHEMA_ID = 2
const PAYLOAD_LIMIT_BYTES = 5 * 1024

const RECORD_TYPES = new Map<number, RecordType>(
  (
    [
      [SPANS_SCHEMA_ID, 'sidereal.SpanBatch'],
      [LOG_SCHEMA_ID, 'sidereal.NodeTraceLog'],
    ] as const
  ).map(([id, name]) => [
    id,
    compileRecordType(bundledSchema(name).json, id, { payloadLimitBytes: PAYLOAD_LIMIT_BYTES }),
  ]),
)

export function testRecordType(schemaId: number): RecordType | undefined {
  return RECORD_TYPES.get(schemaId)
}

export interface TestRecordOptions {
  offset?: number
  receivedAtMs?: number
}

/** Append time of test records unless given: fixed, so that a repetition is one. */
export const TEST_RECEIVED_AT_MS = Date.UTC(2026, 5, 15, 12)

/** A consumed record that holds a batch or a log. */
export function testRecord(value: SpanBatch | NodeTraceLog, options: TestRecordOptions = {}): FragmentRecord {
  const isSpans = 'spans' in value
  const schemaId = isSpans ? SPANS_SCHEMA_ID : LOG_SCHEMA_ID
  const writer = new RecordWriter()
  const bytes = isSpans ? writer.encodeSpanBatch(value, schemaId) : writer.encodeNodeTraceLog(value, schemaId)
  const type = RECORD_TYPES.get(schemaId)!
  const header = new RecordHeader()
  type.inspect(bytes, BODY_START, bytes.byteLength, header)
  return {
    kind: type.kind,
    topic: 'sidereal.traces.v1',
    partition: 3,
    offset: options.offset ?? 0,
    receivedAtMs: options.receivedAtMs ?? TEST_RECEIVED_AT_MS,
    byteLength: bytes.byteLength - BODY_START,
    rowCount: isSpans ? value.spans.length : value.trace.length,
    repeatedBytes: header.repeatedBytes,
    hasLargeValue: false,
    day: header.day,
    bytes,
    bodyStart: BODY_START,
    memory: bytes,
    contentStart: BODY_START,
    contentEnd: bytes.byteLength,
    schemaId,
    decode: () => type.decode(bytes, BODY_START, bytes.byteLength),
  }
}

export function testFragment(records: readonly FragmentRecord[], reason: CloseReason = 'complete'): Fragment {
  const [first] = records
  if (first === undefined) throw new Error('A fragment has at least one record')
  const facts = new FactsCollector()
  for (const record of records) {
    const { bytes, bodyStart, receivedAtMs, schemaId } = record
    RECORD_TYPES.get(schemaId)!.collect(bytes, bodyStart, bytes.byteLength, receivedAtMs, facts)
  }
  return {
    sid: first.decode().sid,
    reason,
    records,
    facts: facts.build(),
    byteLength: records.reduce((sum, record) => sum + record.byteLength, 0),
    rowCount: records.reduce((sum, record) => sum + record.rowCount, 0),
  }
}

/** 16 and 8 bytes in hex that a number names. */
export function testTraceId(n: number): string {
  return `aa${n.toString(16).padStart(30, '0')}`
}

export function testSpanId(n: number): string {
  return `bb${n.toString(16).padStart(14, '0')}`
}

export const TEST_START_NS = 1_781_524_800_000_000_000n

export function testSpan(fields: Partial<Span> = {}): Span {
  return {
    traceId: testTraceId(1),
    spanId: testSpanId(1),
    parentSpanId: null,
    flags: 1,
    name: 'GET /chat',
    kind: 2,
    startTimeNs: TEST_START_NS,
    endTimeNs: TEST_START_NS + 5_000_001n,
    statusCode: 0,
    statusMessage: '',
    traceState: '',
    attributes: [],
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    links: [],
    droppedLinksCount: 0,
    ...fields,
  }
}

export function testBatch(fields: Partial<SpanBatch> & { service?: string } = {}): SpanBatch {
  const { service = 'entry', ...rest } = fields
  return {
    sid: 'sid-1',
    appId: 'app-1',
    uid: 'user-1',
    chatId: 'chat-1',
    batchId: '0197a1b2c3d47e5f8a9b0c1d2e3f4a5b',
    resource: {
      attributes: [{ key: 'service.name', value: service }],
      droppedAttributesCount: 0,
      schemaUrl: '',
      entityRefs: [],
    },
    scope: { name: 'sidereal', version: '1', attributes: [], droppedAttributesCount: 0, schemaUrl: '' },
    spans: [testSpan()],
    ...rest,
  }
}

export function testNode(fields: Partial<NodeLog> = {}): NodeLog {
  return {
    id: 'n1',
    sid: 'sid-1',
    nodeId: 'node-start:1',
    nodeType: 'start',
    nodeName: 'Start',
    funcId: '',
    funcType: '',
    funcName: '',
    nextLogIds: [],
    startTimeMs: 1_781_524_800_000,
    endTimeMs: 1_781_524_800_100,
    durationMs: 100,
    firstFrameDurationMs: -1,
    nodeFirstCostTime: 0.5,
    llmOutput: '',
    runningStatus: true,
    data: {
      input: [],
      output: [],
      config: [],
      usage: { questionTokens: 0, promptTokens: 0, completionTokens: 0, totalTokens: 0 },
    },
    logs: [],
    extra: [],
    ...fields,
  }
}

export function testLog(fields: Partial<NodeTraceLog> = {}): NodeTraceLog {
  return {
    sid: 'sid-1',
    appId: 'app-1',
    uid: 'user-1',
    chatId: 'chat-1',
    logId: '0197a1b2c3d47e5f8a9b0c1d2e3f4a5c',
    revision: 0,
    traceId: testTraceId(1),
    spanId: testSpanId(1),
    serviceId: 'workflow',
    flowId: 'flow-1',
    botId: '',
    sub: 'wf',
    caller: '',
    logCaller: '',
    question: 'How is the weather?',
    answer: '晴',
    startTimeMs: 1_781_524_800_000,
    endTimeMs: 1_781_524_801_000,
    durationMs: 1000,
    firstFrameDurationMs: 120.5,
    srv: [],
    srvTag: [],
    status: { code: 0, message: '' },
    usage: { questionTokens: 1, promptTokens: 10, completionTokens: 20, totalTokens: 30 },
    version: 'v1.0.0',
    trace: [testNode()],
    extra: [],
    ...fields,
  }
}
