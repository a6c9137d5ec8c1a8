import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordWriter } from '../codec/record-writer.ts'
import { KeyValueList } from '../model/any-value.ts'
import { NodeLog } from './node-log.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import { WorkflowLog } from './workflow-log.ts'

const nobody = { sid: 'sid-1', appId: 'app', uid: 'u', chatId: 'c' }

function clock(startMs: number) {
  let now = startMs
  return { nowMs: () => now, pass: (ms: number) => (now += ms) }
}

test('a log carries what its methods were told, and its nodes’ tokens as its own', () => {
  const time = clock(1_759_000_000_000)
  const log = new NodeTraceLog({ sub: 'workflow', question: 'q' }, time.nowMs)
  const node = new NodeLog({ nodeId: 'spark-llm:1', nodeType: 'spark-llm', nodeName: 'LLM' }, time.nowMs)
  time.pass(10)
  node.setStart()
  node.setNextNodeId('node-end:1')
  node.appendInputData('query', { text: '你好', n: 1, f: 1.5 })
  node.appendConfigData({ temperature: 0.5 })
  time.pass(180)
  node.setFirstFrameDuration()
  time.pass(20)
  node.setFirstFrameDuration()
  node.appendUsageData({ promptTokens: 20, completionTokens: 8, totalTokens: 28 })
  node.addInfoLog('started')
  node.setEnd()
  log.addNodeLog(node)
  log.addAnswer('a')
  log.setStatus(0, 'success')
  log.setEnd()
  const record = log.toRecord(nobody)
  assert.equal(record.durationMs, 210)
  assert.deepEqual(record.usage, {
    questionTokens: 0,
    promptTokens: 20,
    completionTokens: 8,
    totalTokens: 28,
  })
  assert.deepEqual([record.sid, record.appId, record.uid, record.chatId], ['sid-1', 'app', 'u', 'c'])
  const [first] = record.trace
  assert.equal(first?.sid, 'sid-1')
  assert.equal(first?.durationMs, 200)
  assert.equal(first?.firstFrameDurationMs, 180)
  assert.deepEqual(first?.nextLogIds, ['node-end:1'])
  const query = new KeyValueList([
    { key: 'text', value: '你好' },
    { key: 'n', value: 1n },
    { key: 'f', value: 1.5 },
  ])
  assert.deepEqual(first?.data.input, [{ key: 'query', value: query }])
  assert.match(
    String(first?.logs[0]),
    /^\{"level": "INFO", "message": "started", "time": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"\}$/,
  )
})

test('a second setEnd does not double the usage, and own tokens stay', () => {
  const log = new NodeTraceLog()
  log.appendUsageData({ questionTokens: 5 })
  const node = new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'n' })
  node.appendUsageData({ totalTokens: 28 })
  log.addNodeLog([node])
  log.setEnd()
  log.setEnd()
  assert.deepEqual(log.usage, { questionTokens: 5, promptTokens: 0, completionTokens: 0, totalTokens: 28 })
  log.appendUsageData({ promptTokens: 3 })
  assert.deepEqual(log.usage, { questionTokens: 5, promptTokens: 3, completionTokens: 0, totalTokens: 28 })
})

test('each publication is a further revision of the same log, and a copy', () => {
  const log = new NodeTraceLog()
  const first = log.toRecord(nobody)
  log.addNodeLog(new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'n' }))
  const second = log.toRecord(nobody)
  assert.deepEqual([first.logId === second.logId, first.revision, second.revision], [true, 0, 1])
  assert.deepEqual([first.trace.length, second.trace.length], [0, 1])
})

test('whatever a service puts into a log, it can be written', () => {
  const log = new NodeTraceLog()
  const node = new NodeLog({ nodeId: '\ud800', nodeType: '', nodeName: '' })
  let deep: unknown = 'x'
  for (let i = 0; i < 200; i++) deep = [deep]
  node.appendInputData('__proto__', {
    a: Number.NaN,
    b: undefined,
    c: () => 1,
    d: 2n ** 80n,
    e: new Uint8Array(3),
    deep,
  })
  node.appendUsageData({ totalTokens: Number.NaN, promptTokens: 1.5 })
  node.setNodeFirstCostTime(Number.POSITIVE_INFINITY)
  log.startTime = Number.NaN
  log.endTime = 1.5
  log.setStatus(Number.POSITIVE_INFINITY, '')
  log.addNodeLog(node)
  assert.ok(new RecordWriter().encodeNodeTraceLog(log.toRecord(nobody), 1).length > 0)
})

test('fields that callers without types fill with something else do not cost the log, and no method throws for them', () => {
  const log = new WorkflowLog({ question: undefined as never, appId: 7 as never })
  const node = new NodeLog({ nodeId: 5 as never, nodeType: null as never, nodeName: 'model' })
  const accessor = {
    get bad(): string {
      throw new Error('no')
    },
  }
  node.llmOutput = { text: '晴' } as never
  node.nodeFirstCostTime = '0.5' as never
  node.runningStatus = undefined as never
  node.startTime = 5n as never
  node.setNextNodeId(Symbol('next') as never)
  node.appendInputData(Object.create(null) as never, 1)
  node.appendConfigData(accessor)
  node.appendConfigData(null as never)
  node.appendUsageData({
    promptTokens: 5n as never,
    totalTokens: '8' as never,
    completionTokens: null as never,
  })
  node.appendUsageData(undefined as never)
  node.setFirstFrameDuration()
  node.setEnd()
  log.addNodeLog([undefined as never, node])
  log.addNodeLog(null as never)
  log.addAnswer(null as never)
  log.addFirstFrameDuration(undefined as never)
  log.addSrv(Symbol('key') as never, 1)
  log.setStatus('1' as never, new Map() as never)
  log.setEnd()
  const record = log.toRecord(nobody)
  assert.ok(new RecordWriter().encodeNodeTraceLog(record, 1).length > 0)
  assert.deepEqual(
    [record.appId, record.question, record.answer, record.status.code, record.firstFrameDurationMs],
    ['7', '', '', 1, -1],
  )
  assert.deepEqual(record.usage, {
    questionTokens: 0,
    promptTokens: 5,
    completionTokens: 0,
    totalTokens: 8,
  })
  const [written] = record.trace
  assert.deepEqual(
    [written?.nodeId, written?.nodeType, written?.llmOutput, written?.nodeFirstCostTime, written?.nextLogIds],
    ['5', '', '{"text": "晴"}', 0.5, ['Symbol(next)']],
  )
  assert.equal((JSON.parse(log.toJsonString()) as { answer: unknown }).answer, null)
  assert.deepEqual(written?.data.config, [{ key: 'bad', value: '[Error: no]' }])
})

test('data, usage and status that were assigned and are none neither throw into the request nor cost the log', () => {
  const log = new NodeTraceLog(null as never)
  const node = new NodeLog(undefined as never)
  // What a model answers that counts no tokens.
  node.data.usage = undefined as never
  node.data.input = null as never
  node.data.output = 'sunny' as never
  node.appendInputData('city', 'Hefei')
  log.addNodeLog([{ nodeId: 'no NodeLog' } as never, 'neither' as never, node])
  log.setEnd()
  log.status = null as never
  const record = log.toRecord(nobody)
  assert.ok(new RecordWriter().encodeNodeTraceLog(record, 1).length > 0)
  assert.deepEqual([record.status, record.trace.length], [{ code: 0, message: '' }, 1])
  const [{ data } = assert.fail()] = record.trace
  assert.deepEqual(
    [data.input, data.output, data.usage.totalTokens],
    [[], [{ key: 'value', value: 'sunny' }], 0],
  )
  const text = JSON.parse(log.toJsonString()) as {
    status: unknown
    trace: { data: Record<string, unknown> }[]
  }
  assert.equal(text.status, null)
  assert.deepEqual(text.trace[0]?.data, { input: null, output: 'sunny', config: {}, usage: null })
})

test('whatever a caller without types assigns, no method throws, and the log is written and published', () => {
  const log = new NodeTraceLog({ sid: 's' })
  const node = new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'N' })
  const loose = node as unknown as Record<string, unknown>
  log.addNodeLog(node)
  for (const name of ['data', 'nextLogIds', 'logs']) loose[name] = null
  node.setNextNodeId('next')
  node.appendInputData('k', 1)
  node.appendConfigData({ k: 1 })
  node.appendUsageData({ totalTokens: 1 })
  node.addInfoLog('x')
  node.setEnd()
  log.setEnd()
  log.appendUsageData({ totalTokens: 2 })
  assert.equal(JSON.parse(log.toJsonString()).trace.length, 1)
  assert.deepEqual(log.toRecord(nobody).trace[0]?.logs, [])
  log.usage = { totalTokens: 7 }
  assert.equal(log.usage.totalTokens, 7)
  const looseLog = log as unknown as Record<string, unknown>
  for (const name of ['trace', 'srv', 'srvTag']) looseLog[name] = null
  log.addSrv('k', 1)
  log.addNodeLog(node)
  log.setEnd()
  assert.equal(JSON.parse(log.toJsonString()).usage.total_tokens, 7)
  assert.deepEqual(log.toRecord(nobody).trace, [])
})
