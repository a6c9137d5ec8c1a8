import { randomUUID } from 'node:crypto'
import type { KeyValue } from '../model/any-value.ts'
import type { NodeLog as NodeLogRecord, Usage } from '../model/node-trace-log.ts'
import { asText, entriesOf } from './foreign-values.ts'
import { harmless } from './harmless.ts'
import { toAnyValue, toKeyValues } from './json-value.ts'
import { pythonJson } from './python-json.ts'
import { attributeText } from './span-attributes.ts'

/** What identifies a node of a workflow. */
export interface NodeLogInit {
  readonly nodeId: string
  readonly nodeType: string
  readonly nodeName: string
  /** Default: those of the node. */
  readonly funcId?: string
  readonly funcType?: string
  readonly funcName?: string
  /** Default: the SID of the NodeTraceLog that it is added to. */
  readonly sid?: string
  /** Default: a random id of 32 hex digits. */
  readonly id?: string
}

/** What a node read, produced and was set up with, and the tokens that it used (source description: class `Data`). Any JSON value is a value. */
export interface Data {
  input: Record<string, unknown>
  output: Record<string, unknown>
  config: Record<string, unknown>
  usage: Usage
}

const NO_INIT: NodeLogInit = { nodeId: '', nodeType: '', nodeName: '' }
export const NO_USAGE: Usage = { questionTokens: 0, promptTokens: 0, completionTokens: 0, totalTokens: 0 }

/**
 * The log of one executed node, filled while it runs (source description: class `NodeLog`). No method throws. Times are Unix milliseconds.
 */
export class NodeLog {
  readonly id: string
  sid: string
  nodeId: string
  nodeType: string
  nodeName: string
  funcId: string
  funcType: string
  funcName: string
  readonly nextLogIds = new Set<string>()
  startTime: number
  endTime: number
  /** 0 until the node has ended. */
  duration = 0
  /** −1 = unknown. */
  firstFrameDuration = -1
  /** Seconds; −1 = unknown. */
  nodeFirstCostTime = -1
  llmOutput = ''
  runningStatus = true
  readonly data: Data
  readonly logs: string[] = []
  #isEnded = false
  readonly #nowMs: () => number

  constructor(init: NodeLogInit, nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
    // A caller without types may leave it out.
    const { id, sid, nodeId, nodeType, nodeName, funcId, funcType, funcName } = init ?? NO_INIT
    this.id = id ?? randomUUID().replaceAll('-', '')
    this.sid = sid ?? ''
    this.nodeId = nodeId
    this.nodeType = nodeType
    this.nodeName = nodeName
    this.funcId = funcId ?? nodeId
    this.funcType = funcType ?? nodeType
    this.funcName = funcName ?? nodeName
    this.startTime = nowMs()
    this.endTime = this.startTime
    // No prototype: "__proto__" is a key like any other.
    this.data = {
      input: Object.create(null),
      output: Object.create(null),
      config: Object.create(null),
      usage: { ...NO_USAGE },
    }
  }

  /** Announces a node that follows: its `id` or its node id. A trace waits for it. */
  setNextNodeId(id: string): void {
    this.#quietly(() => this.nextLogIds.add(id))
  }

  /** Begins the node anew, now. */
  setStart(): void {
    this.startTime = this.#nowMs()
    this.endTime = this.startTime
    this.#isEnded = false
  }

  /** Ends the node, now. */
  setEnd(): void {
    this.endTime = this.#nowMs()
    this.duration = this.endTime - numberOf(this.startTime)
    this.#isEnded = true
  }

  /** Whether `setEnd` was called since the last `setStart`. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** The first frame is out; later calls change nothing. */
  setFirstFrameDuration(): void {
    if (this.firstFrameDuration < 0) this.firstFrameDuration = this.#nowMs() - numberOf(this.startTime)
  }

  /** @param seconds until the first answer */
  setNodeFirstCostTime(seconds: number): void {
    this.nodeFirstCostTime = seconds
  }

  /** Adds what the node read; a key that is there is replaced. */
  appendInputData(key: string, value: unknown): void {
    this.#quietly(() => {
      this.data.input[asText(key)] = value
    })
  }

  /** Adds what the node produced; a key that is there is replaced. */
  appendOutputData(key: string, value: unknown): void {
    this.#quietly(() => {
      this.data.output[asText(key)] = value
    })
  }

  /** Adds what the node was set up with; keys that are there are replaced. */
  appendConfigData(values: Readonly<Record<string, unknown>>): void {
    this.#quietly(() => {
      for (const [key, value] of fieldsOf(values)) this.data.config[key] = value
    })
  }

  /** Replaces the counts that are given. */
  appendUsageData(usage: Partial<Usage>): void {
    this.#quietly(() => {
      this.data.usage = { ...this.data.usage, ...wholeCounts(usage) }
    })
  }

  /** Adds a line of level INFO, with the local time. */
  addInfoLog(text: string): void {
    this.#addLog('INFO', text)
  }

  /** Adds a line of level ERROR, with the local time. The node stays as it is: `runningStatus` says whether it failed. */
  addErrorLog(text: string): void {
    this.#addLog('ERROR', text)
  }

  /** What is published: a copy, in the form of the record. Input, output and configuration keep their JSON types. */
  toRecord(sid: string): NodeLogRecord {
    const { input, output, config, usage } = this.data ?? {}
    return {
      id: recordText(this.id),
      sid: recordText(this.sid) || sid,
      nodeId: recordText(this.nodeId),
      nodeType: recordText(this.nodeType),
      nodeName: recordText(this.nodeName),
      funcId: recordText(this.funcId),
      funcType: recordText(this.funcType),
      funcName: recordText(this.funcName),
      nextLogIds: [...(this.nextLogIds ?? [])].map(recordText).sort(),
      startTimeMs: whole(this.startTime),
      endTimeMs: whole(this.endTime),
      durationMs: whole(this.duration),
      firstFrameDurationMs: whole(durationOf(this.firstFrameDuration)),
      nodeFirstCostTime: durationOf(this.nodeFirstCostTime),
      llmOutput: recordText(this.llmOutput),
      runningStatus: Boolean(this.runningStatus),
      data: {
        input: recordFields(input),
        output: recordFields(output),
        config: recordFields(config),
        usage: countsOf(usage),
      },
      logs: [...(this.logs ?? [])].map(recordText),
      extra: [],
    }
  }

  /** Fields can be assigned where there are no types, and what takes no entry must not fail the request. */
  #quietly(entry: () => void): void {
    harmless(entry, undefined)
  }

  #addLog(level: string, message: string): void {
    const line = { level, message, time: localTime(new Date(this.#nowMs())) }
    this.#quietly(() => this.logs.push(pythonJson(line, { nonFinite: 0, replacedSurrogates: 0 })))
  }
}

/** A text of a record. Fields can be assigned, and a model's answer that is no text must not cost the log. */
export function recordText(value: unknown): string {
  return value === undefined || value === null ? '' : attributeText(value)
}

/** A map of a record. What was assigned in its place and is none is its entry `value`. */
export function recordFields(value: unknown): KeyValue[] {
  if (value === undefined || value === null) return []
  return typeof value === 'object' ? toKeyValues(value) : [{ key: 'value', value: toAnyValue(value) }]
}

/** NaN for what is none. */
export function numberOf(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' || typeof value === 'string' ? Number(value) : Number.NaN
}

/** −1 = unknown, which is also what is no number. */
export function durationOf(value: unknown): number {
  const duration = numberOf(value)
  return Number.isNaN(duration) ? -1 : duration
}

/** Counts and times are whole in the record; what is no number at all counts as 0. */
export function whole(value: unknown): number {
  const rounded = Math.round(numberOf(value))
  return Number.isSafeInteger(rounded) ? rounded : 0
}

/** Of an answer of a model that says nothing of its tokens, they are 0. */
export function countsOf(usage: Partial<Usage> | null | undefined): Usage {
  return {
    questionTokens: whole(usage?.questionTokens),
    promptTokens: whole(usage?.promptTokens),
    completionTokens: whole(usage?.completionTokens),
    totalTokens: whole(usage?.totalTokens),
  }
}

/** The counts that are given. */
export function wholeCounts(usage: Partial<Usage>): Partial<Usage> {
  return Object.fromEntries(
    fieldsOf(usage).flatMap(([name, count]) => (count === undefined ? [] : [[name, whole(count)]])),
  )
}

function fieldsOf(values: object | null | undefined): [string, unknown][] {
  return harmless(() => entriesOf(values ?? {}), [])
}

/** Local time without a zone, whole seconds: the form of the source's logs. */
function localTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
