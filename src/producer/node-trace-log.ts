import { context as contextApi, diag, trace } from '@opentelemetry/api'
import type { NodeTraceLog as NodeTraceLogRecord, Usage } from '../model/node-trace-log.ts'
import { uuidV7 } from '../model/uuid-v7.ts'
import { asText } from './foreign-values.ts'
import { harmless } from './harmless.ts'
import { boxOfContext, type Identity, type IdentityBox, isValidSid, isValidValue } from './identity.ts'
import {
  countsOf,
  durationOf,
  NO_USAGE,
  type NodeLog,
  numberOf,
  recordFields,
  recordText,
  whole,
  wholeCounts,
} from './node-log.ts'
import {
  fieldsOfLog,
  type LargeTextStore,
  type NodeTraceLogTextFaults,
  nodesOf,
  textOf,
  textWithStore,
} from './node-trace-log-text.ts'
import { Trace } from './trace-context.ts'

/** What is known of a request when its log is made; all of it can be set later, too. */
export interface NodeTraceLogInit {
  /** Default: the identity of the active request when the log is made, and again when it is published. */
  readonly sid?: string
  readonly appId?: string
  readonly uid?: string
  readonly chatId?: string
  readonly serviceId?: string
  readonly flowId?: string
  readonly botId?: string
  readonly sub?: string
  readonly caller?: string
  readonly logCaller?: string
  readonly question?: string
  readonly version?: string
}

/** How a request ended (source description: class `Status`). 0 = well. */
export interface Status {
  code: number
  message: string
}

const IDENTITY_PARTS = ['sid', 'appId', 'uid', 'chatId'] as const satisfies readonly (keyof Identity)[]

/**
 * The log of one request through a workflow, filled while it runs (source description: class `NodeTraceLog`). No method throws. It remembers
 * which trace and span were active when it was made. Times are Unix milliseconds.
 */
export class NodeTraceLog {
  /** UUIDv7 as 32 hex digits. */
  readonly logId: string
  sid: string
  appId: string
  uid: string
  chatId: string
  serviceId: string
  flowId: string
  botId: string
  sub: string
  caller: string
  logCaller: string
  question: string
  answer = ''
  startTime: number
  endTime: number
  duration = 0
  /** −1 = unknown. */
  firstFrameDuration = -1
  status: Status = { code: 0, message: '' }
  version: string
  readonly srv: Record<string, unknown> = Object.create(null)
  readonly srvTag: Record<string, unknown> = Object.create(null)
  readonly trace: NodeLog[] = []
  #usage: Usage = { ...NO_USAGE }
  #ownUsage: Usage = { ...NO_USAGE }
  #hasNodesUsage = false
  #revision = 0
  #textFaults: NodeTraceLogTextFaults = { nonFinite: 0, replacedSurrogates: 0, notStored: 0 }
  readonly #traceId: string | null
  readonly #spanId: string | null
  readonly #nowMs: () => number
  /** The request in which it was made, until it is published. */
  #request: IdentityBox | undefined
  /** What its maker left to the request. */
  readonly #leftToRequest: readonly (keyof Identity)[]
  readonly #copied: Identity

  constructor(init: NodeTraceLogInit = {}, nowMs: () => number = Date.now) {
    // A caller without types may give null.
    const given = init ?? {}
    const active = Trace.identity()
    this.#request = boxOfContext(contextApi.active())
    this.#leftToRequest = IDENTITY_PARTS.filter((part) => given[part] === undefined || given[part] === null)
    const span = trace.getSpan(contextApi.active())?.spanContext()
    const hasSpan = span !== undefined && trace.isSpanContextValid(span)
    this.#nowMs = nowMs
    this.#traceId = hasSpan ? span.traceId : null
    this.#spanId = hasSpan ? span.spanId : null
    this.startTime = nowMs()
    this.endTime = this.startTime
    this.logId = uuidV7(this.startTime)
    this.sid = given.sid ?? active?.sid ?? ''
    this.appId = given.appId ?? active?.appId ?? ''
    this.uid = given.uid ?? active?.uid ?? ''
    this.chatId = given.chatId ?? active?.chatId ?? ''
    const { sid, appId, uid, chatId } = this
    this.#copied = { sid, appId, uid, chatId }
    this.serviceId = given.serviceId ?? ''
    this.flowId = given.flowId ?? ''
    this.botId = given.botId ?? ''
    this.sub = given.sub ?? ''
    this.caller = given.caller ?? ''
    this.logCaller = given.logCaller ?? ''
    this.question = given.question ?? ''
    this.version = given.version ?? 'v2.0.0'
  }

  /**
   * @internal Who a request belongs to may be told after a log of it was made: until its first publication the log follows, like the spans. What was
   * given, or set since, stays.
   */
  followRequest(): void {
    const known = this.#request?.identity
    this.#request = undefined
    // With a SID of its own it belongs to another request.
    if (known === undefined || !this.#leftToRequest.includes('sid') || this.sid !== this.#copied.sid) return
    for (const part of this.#leftToRequest) if (this[part] === this.#copied[part]) this[part] = known[part]
  }

  /** Tokens of the log's own and, once it has ended, of its nodes. What is assigned replaces those of its own. */
  get usage(): Readonly<Usage> {
    return this.#usage
  }

  set usage(usage: Partial<Usage>) {
    this.#ownUsage = countsOf(usage)
    this.#countUsage()
  }

  /** Sets the question, as the assignment does. */
  addQuestion(question: string): void {
    this.question = question
  }

  /** Sets the answer, as the assignment does. */
  addAnswer(answer: string): void {
    this.answer = answer
  }

  /** @param durationMs from the start to the first frame */
  addFirstFrameDuration(durationMs: number): void {
    this.firstFrameDuration = durationMs
  }

  /** What the service says of itself: an entry of `srv` and of `srvTag`. */
  addSrv(key: string, value: unknown): void {
    harmless(() => {
      this.srv[asText(key)] = value
      this.srvTag[asText(key)] = value
    }, undefined)
  }

  /** Tokens that no node accounts for. After `setEnd` they are added to those of the nodes, too. */
  appendUsageData(usage: Partial<Usage>): void {
    this.#ownUsage = { ...this.#ownUsage, ...wholeCounts(usage) }
    this.#countUsage()
  }

  /** Begins the log anew, now. */
  setStart(): void {
    this.startTime = this.#nowMs()
    this.endTime = this.startTime
  }

  /** Sets the end, and the usage as the sum over the nodes. A second call counts nothing twice. */
  setEnd(): void {
    this.endTime = this.#nowMs()
    this.duration = this.endTime - numberOf(this.startTime)
    this.#hasNodesUsage = true
    this.#countUsage()
  }

  #countUsage(): void {
    const nodes = this.#hasNodesUsage ? nodesOf(this.trace) : []
    this.#usage = nodes.reduce((sum, { data }) => addUsage(sum, data?.usage), { ...this.#ownUsage })
  }

  /** How the request ended: 0 = well. */
  setStatus(code: number, message: string): void {
    this.status = { code, message }
  }

  /** Adds nodes in the order in which they ran. */
  addNodeLog(nodes: NodeLog | readonly NodeLog[]): void {
    harmless(() => this.#addNodes(nodes), undefined)
  }

  #addNodes(nodes: NodeLog | readonly NodeLog[]): void {
    for (const node of Array.isArray(nodes) ? nodes : [nodes]) {
      // Of a node that was not made there is nothing to say.
      if (!node) continue
      if (typeof node.toRecord === 'function') this.trace.push(node)
      else diag.error('addNodeLog takes NodeLogs: what is none is left out')
    }
  }

  /** The same list as `addNodeLog`, under the name that callers of functions use. */
  addFuncLog(nodes: NodeLog | readonly NodeLog[]): void {
    this.addNodeLog(nodes)
  }

  /**
   * The log as JSON, in the text of the source's `to_json`, field for field: for whoever reads that topic. See docs/producer.md for the few values that
   * differ, since the source's text would be no JSON. Publishes nothing.
   *
   * @param store takes texts over 5,120 bytes; a link stands in their place. Without one every text stands whole.
   */
  toJsonString(): string
  toJsonString(store: LargeTextStore): Promise<string>
  toJsonString(store?: LargeTextStore): string | Promise<string> {
    const fields = fieldsOfLog(this)
    const keep = ({ text, faults }: { text: string; faults: NodeTraceLogTextFaults }) => {
      this.#textFaults = faults
      return text
    }
    return store === undefined ? keep(textOf(fields)) : textWithStore(fields, store).then(keep)
  }

  /** What the last `toJsonString` could not write as it was. */
  get textFaults(): NodeTraceLogTextFaults {
    return this.#textFaults
  }

  /**
   * What is published: a copy. Each call is a further revision of the same log.
   * @param identity fills what the log does not know itself, or cannot be: a SID over 256 bytes, another part over 1,024
   */
  toRecord(identity: Identity): NodeTraceLogRecord {
    const own = recordText(this.sid)
    const sid = isValidSid(own) ? own : identity.sid
    return {
      sid,
      appId: partOf(this.appId) || identity.appId,
      uid: partOf(this.uid) || identity.uid,
      chatId: partOf(this.chatId) || identity.chatId,
      logId: this.logId,
      revision: this.#revision++,
      traceId: this.#traceId,
      spanId: this.#spanId,
      serviceId: recordText(this.serviceId),
      flowId: recordText(this.flowId),
      botId: recordText(this.botId),
      sub: recordText(this.sub),
      caller: recordText(this.caller),
      logCaller: recordText(this.logCaller),
      question: recordText(this.question),
      answer: recordText(this.answer),
      startTimeMs: whole(this.startTime),
      endTimeMs: whole(this.endTime),
      durationMs: whole(this.duration),
      firstFrameDurationMs: durationOf(this.firstFrameDuration),
      srv: recordFields(this.srv),
      srvTag: recordFields(this.srvTag),
      status: { code: whole(this.status?.code), message: recordText(this.status?.message) },
      usage: { ...this.#usage },
      version: recordText(this.version),
      trace: nodesOf(this.trace).map((node) => node.toRecord(sid)),
      extra: [],
    }
  }
}

/** Empty for what is too long to be one: the log is not lost for it. */
function partOf(value: unknown): string {
  const text = recordText(value)
  return isValidValue(text) ? text : ''
}

function addUsage(a: Usage, b: Usage | undefined): Usage {
  const { questionTokens, promptTokens, completionTokens, totalTokens } = countsOf(b)
  return {
    questionTokens: a.questionTokens + questionTokens,
    promptTokens: a.promptTokens + promptTokens,
    completionTokens: a.completionTokens + completionTokens,
    totalTokens: a.totalTokens + totalTokens,
  }
}
