import type { KeyValue } from './any-value.ts'
import type { OffloadableString } from './payload-reference.ts'

/** Token counts of one model call, or of a whole request. Counts, not negative. */
export interface Usage {
  questionTokens: number
  promptTokens: number
  completionTokens: number
  totalTokens: number
}

/** What a node read, produced and was set up with. Values keep their JSON type. */
export interface NodeData {
  input: KeyValue[]
  output: KeyValue[]
  config: KeyValue[]
  usage: Usage
}

/** One executed node of a workflow. Its identity is (SID, log id, place in `trace[]`): ids of today's sources may be empty or repeat. */
export interface NodeLog {
  id: string
  sid: string
  nodeId: string
  nodeType: string
  nodeName: string
  funcId: string
  funcType: string
  funcName: string
  /** Ids (`id` or `nodeId`) of the nodes that this one announced. A set. */
  nextLogIds: string[]
  /** Unix milliseconds. */
  startTimeMs: number
  endTimeMs: number
  /** Milliseconds. */
  durationMs: number
  /** Milliseconds; −1 = unknown. */
  firstFrameDurationMs: number
  /** Seconds. */
  nodeFirstCostTime: number
  llmOutput: OffloadableString
  /** True = the node ended well. */
  runningStatus: boolean
  data: NodeData
  logs: OffloadableString[]
  /** Fields of the source that the schema does not know. */
  extra: KeyValue[]
}

/** A node is an error when it has ended, and not well. Rows, facts and re-exported spans all go by this. */
export function isErrorNode(node: Pick<NodeLog, 'endTimeMs' | 'runningStatus'>): boolean {
  return node.endTimeMs > 0 && !node.runningStatus
}

/** The log of one request through a workflow: one Kafka record. */
export interface NodeTraceLog {
  sid: string
  appId: string
  uid: string
  chatId: string
  /** 32 lower-case hex digits: UUIDv7, or derived from content by the bridge. */
  logId: string
  /** 0, then +1 with each publication of the same `logId`: the highest revision wins. */
  revision: number
  /** Trace and span that were active when the log was made; `null` = none known. */
  traceId: string | null
  spanId: string | null
  serviceId: string
  flowId: string
  botId: string
  sub: string
  caller: string
  logCaller: string
  question: OffloadableString
  answer: OffloadableString
  startTimeMs: number
  endTimeMs: number
  durationMs: number
  /** Milliseconds; −1 = unknown. */
  firstFrameDurationMs: number
  srv: KeyValue[]
  srvTag: KeyValue[]
  status: { code: number; message: OffloadableString }
  usage: Usage
  version: string
  trace: NodeLog[]
  /** Fields of the source that the schema does not know. */
  extra: KeyValue[]
}
