import { KeyValueList } from '../model/any-value.ts'
import type { NodeLog, NodeTraceLog, Usage } from '../model/node-trace-log.ts'
import { keyValues } from './generated-spans.ts'
import { payloadSize, shortQuestion, shortText, textOfSize } from './generated-text.ts'
import type { GeneratedIdentity } from './generator.ts'
import type { SeededRandom } from './seeded-random.ts'

const BRANCH_TYPES = ['spark-llm', 'knowledge-base', 'plugin', 'code'] as const

export interface LogShape {
  readonly identity: GeneratedIdentity
  readonly startMs: number
  readonly hasPayload: boolean
  readonly traceId: string
  readonly spanId: string
}

/**
 * The publications of one NodeTraceLog: mostly one, sometimes an early one without the end node before it (revision 0, then 1).
 * start → two to four branches → message, which joins them → end.
 */
export function generateLogs(random: SeededRandom, shape: LogShape): NodeTraceLog[] {
  const branches = random.integer(2, 4)
  const ids = Array.from({ length: branches + 3 }, (_, place) => `${shape.identity.sid}:${place}`)
  const branchIds = ids.slice(1, 1 + branches)
  const messageId = ids[branches + 1]!
  const endId = ids[branches + 2]!
  const base = { sid: shape.identity.sid, startMs: shape.startMs }
  const branchNodes = branchIds.map((id, place) => {
    const type = random.pick(BRANCH_TYPES)
    // Some announce by node id, as sources of today do.
    return makeNode(random, {
      ...base,
      id,
      type,
      next: [random.chance(0.5) ? messageId : `message::${messageId}`],
      place: place + 1,
    })
  })
  const nodes = [
    makeNode(random, { ...base, id: ids[0]!, type: 'start', next: branchIds, place: 0 }),
    ...branchNodes,
    makeNode(random, { ...base, id: messageId, type: 'message', next: [endId], place: branches + 1 }),
    makeNode(random, { ...base, id: endId, type: 'end', next: [], place: branches + 2 }),
  ]
  const failed = nodes.find((node) => !node.runningStatus)
  if (shape.hasPayload) addPayloads(random, nodes)
  const end = nodes[nodes.length - 1]!
  const log: NodeTraceLog = {
    ...shape.identity,
    logId: uuidV7(random, shape.startMs),
    revision: 0,
    traceId: shape.traceId,
    spanId: shape.spanId,
    serviceId: 'workflow-service',
    flowId: `flow-${random.integer(1, 9)}`,
    botId: random.chance(0.5) ? `bot-${random.integer(1, 9)}` : '',
    sub: 'workflow',
    caller: 'agent-entry',
    logCaller: '',
    question: shortQuestion(random),
    answer: shape.hasPayload ? textOfSize(random, payloadSize(random)) : shortText(random),
    startTimeMs: shape.startMs,
    endTimeMs: end.endTimeMs,
    durationMs: end.endTimeMs - shape.startMs,
    firstFrameDurationMs: random.chance(0.2) ? -1 : random.integer(20, 900) + 0.5,
    srv: keyValues([
      ['region', 'hf'],
      ['priority', 3n],
    ]),
    srvTag: keyValues([['channel', 'web']]),
    status:
      failed === undefined
        ? { code: 0, message: 'success' }
        : { code: 11200, message: 'a node failed: 节点失败' },
    usage: sumUsage(nodes),
    version: '1.2.0',
    trace: nodes,
    extra: random.chance(0.1) ? keyValues([['unknown_field', new KeyValueList(keyValues([['a', 1n]]))]]) : [],
  }
  if (!random.chance(0.06)) return [log]
  const early = { ...log, trace: nodes.slice(0, -1), answer: '', usage: sumUsage(nodes.slice(0, -1)) }
  return [early, { ...log, revision: 1 }]
}

interface NodeSeed {
  readonly sid: string
  readonly startMs: number
  readonly id: string
  readonly type: string
  readonly next: readonly string[]
  readonly place: number
}

function makeNode(random: SeededRandom, seed: NodeSeed): NodeLog {
  const startTimeMs = seed.startMs + seed.place * 5 + random.integer(0, 4)
  const durationMs = random.integer(0, 900)
  const hasTokens = seed.type === 'spark-llm'
  return {
    id: seed.id,
    sid: seed.sid,
    nodeId: `${seed.type}::${seed.id}`,
    nodeType: seed.type,
    nodeName: seed.type === 'spark-llm' ? '大模型' : seed.type,
    funcId: `func-${random.integer(1, 20)}`,
    funcType: 'builtin',
    funcName: seed.type,
    nextLogIds: [...seed.next],
    startTimeMs,
    endTimeMs: startTimeMs + durationMs,
    durationMs,
    firstFrameDurationMs: hasTokens ? random.integer(20, 400) : -1,
    nodeFirstCostTime: hasTokens ? random.integer(0, 1000) / 1000 : 0,
    llmOutput: hasTokens ? shortText(random) : '',
    runningStatus: !random.chance(0.02),
    data: {
      input: keyValues([
        ['question', shortText(random)],
        ['top_k', 5n],
        ['score', 0.75],
        ['stream', true],
        ['none', null],
      ]),
      output: keyValues([['items', ['一', 'two', 3n]]]),
      config: keyValues([
        ['temperature', 0.5],
        ['max_tokens', 2048n],
      ]),
      usage: hasTokens ? makeUsage(random) : noUsage(),
    },
    logs: random.chance(0.3) ? [JSON.stringify({ level: 'INFO', content: shortText(random) })] : [],
    extra: [],
  }
}

function addPayloads(random: SeededRandom, nodes: NodeLog[]): void {
  const node = random.pick(nodes)
  node.data.input.push({ key: 'documents', value: textOfSize(random, payloadSize(random)) })
  node.llmOutput = textOfSize(random, payloadSize(random))
  node.logs.push(textOfSize(random, payloadSize(random)))
}

function makeUsage(random: SeededRandom): Usage {
  const questionTokens = random.integer(1, 50)
  const promptTokens = random.integer(50, 3000)
  const completionTokens = random.integer(1, 900)
  return { questionTokens, promptTokens, completionTokens, totalTokens: promptTokens + completionTokens }
}

function noUsage(): Usage {
  return { questionTokens: 0, promptTokens: 0, completionTokens: 0, totalTokens: 0 }
}

function sumUsage(nodes: readonly NodeLog[]): Usage {
  const sum = noUsage()
  for (const { data } of nodes) {
    sum.questionTokens += data.usage.questionTokens
    sum.promptTokens += data.usage.promptTokens
    sum.completionTokens += data.usage.completionTokens
    sum.totalTokens += data.usage.totalTokens
  }
  return sum
}

/** Version 7 with seeded random bits: the time decides the partition of the row. */
function uuidV7(random: SeededRandom, timeMs: number): string {
  const bits = random.hex(10)
  return `${timeMs.toString(16).padStart(12, '0')}7${bits.slice(0, 3)}8${bits.slice(3, 18)}`
}
