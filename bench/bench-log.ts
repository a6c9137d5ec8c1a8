import { SeededRandom } from '../src/audit/seeded-random.ts'
import type { NodeLog, NodeTraceLog } from '../src/model/node-trace-log.ts'
import { benchIdentity, keyValues } from './data.ts'
import type { WordText } from './word-text.ts'

export const NODES_PER_LOG = 8
/** Five values a node, and two of the log: 20 KB of Avro in all, none of them near the limit for payloads. */
const TEXT_CHARACTERS = 430
const NODE_TYPES = ['spark-llm', 'knowledge-base', 'plugin', 'code'] as const

/** The log of a workflow of eight nodes in a chain, 20 KB. */
export function benchLog(index: number, seed: number, startNs: bigint, texts: WordText): NodeTraceLog {
  const random = new SeededRandom(seed, index)
  const identity = benchIdentity(random, index)
  const startTimeMs = Number(startNs / 1_000_000n)
  const text = () => texts.make(random, TEXT_CHARACTERS)
  const trace = Array.from({ length: NODES_PER_LOG }, (_, place) =>
    node(random, identity.sid, place, startTimeMs, text),
  )
  const endTimeMs = trace[NODES_PER_LOG - 1]!.endTimeMs
  return {
    ...identity,
    logId: `${startTimeMs.toString(16).padStart(12, '0')}7${random.hex(2).slice(0, 3)}8${random.hex(8).slice(0, 15)}`,
    revision: 0,
    traceId: random.hex(16),
    spanId: random.hex(8),
    serviceId: 'workflow-service',
    flowId: `flow-${index % 40}`,
    botId: `bot-${index % 90}`,
    sub: 'workflow',
    caller: 'agent-entry',
    logCaller: '',
    question: text(),
    answer: text(),
    startTimeMs,
    endTimeMs,
    durationMs: endTimeMs - startTimeMs,
    firstFrameDurationMs: random.integer(20, 900) + 0.5,
    srv: keyValues([['region', 'hf']]),
    srvTag: keyValues([['channel', 'web']]),
    status: { code: 0, message: 'success' },
    usage: tokens(random),
    version: '1.2.0',
    trace,
    extra: [],
  }
}

function node(
  random: SeededRandom,
  sid: string,
  place: number,
  logStartMs: number,
  text: () => string,
): NodeLog {
  const startTimeMs = logStartMs + place * 40
  const durationMs = random.integer(1, 40)
  const nodeType =
    place === 0 ? 'start' : place === NODES_PER_LOG - 1 ? 'end' : NODE_TYPES[place % NODE_TYPES.length]!
  return {
    id: `${sid}:${place}`,
    sid,
    nodeId: `${nodeType}::${sid}:${place}`,
    nodeType,
    nodeName: nodeType,
    funcId: `func-${place}`,
    funcType: 'builtin',
    funcName: nodeType,
    nextLogIds: place === NODES_PER_LOG - 1 ? [] : [`${sid}:${place + 1}`],
    startTimeMs,
    endTimeMs: startTimeMs + durationMs,
    durationMs,
    firstFrameDurationMs: random.integer(20, 400),
    nodeFirstCostTime: random.integer(0, 1000) / 1000,
    llmOutput: text(),
    runningStatus: true,
    data: {
      input: keyValues([
        ['question', text()],
        ['context', text()],
        ['top_k', 5n],
        ['stream', true],
      ]),
      output: keyValues([['answer', text()]]),
      config: keyValues([
        ['prompt', text()],
        ['temperature', 0.5],
        ['max_tokens', 2048n],
      ]),
      usage: tokens(random),
    },
    logs: [],
    extra: [],
  }
}

function tokens(random: SeededRandom): NodeLog['data']['usage'] {
  const promptTokens = random.integer(50, 3000)
  const completionTokens = random.integer(1, 900)
  return { questionTokens: 20, promptTokens, completionTokens, totalTokens: promptTokens + completionTokens }
}
