import type { AnyValue } from '../model/any-value.ts'
import type { OffloadableString } from '../model/payload-reference.ts'

/**
 * What `verify` expects to find, said by whoever sent it, and never by way of our codec. A field that is absent is not compared, so that a
 * sender that knows little (an exporter written by hand) can still be verified.
 */

/** A text that is known by its size and hash alone, because the ledger would grow too large with it. */
export class ValueDigest {
  /** Bytes of UTF-8. */
  readonly size: number
  /** Lower-case hex, of the UTF-8 bytes. */
  readonly sha256: string

  constructor(size: number, sha256: string) {
    this.size = size
    this.sha256 = sha256
  }
}

/** A reference is expected where the sender itself had moved or cut the value. */
export type ExpectedText = OffloadableString | ValueDigest
export type ExpectedValue = AnyValue | ValueDigest

export interface ExpectedKeyValue {
  readonly key: string
  readonly value: ExpectedValue
}

/** Where a record was sent to, and whether Kafka said that it has it. */
export interface Origin {
  /** False: sent, but never acknowledged; it may be there or not. */
  readonly isAcknowledged: boolean
  readonly partition?: number | undefined
  readonly offset?: number | undefined
}

export interface ExpectedEvent {
  readonly timeNs: bigint
  readonly name: string
  readonly attributes?: readonly ExpectedKeyValue[] | undefined
  readonly droppedAttributesCount?: number | undefined
}

export interface ExpectedLink {
  readonly traceId: string
  readonly spanId: string
  readonly traceState?: string | undefined
  readonly attributes?: readonly ExpectedKeyValue[] | undefined
  readonly droppedAttributesCount?: number | undefined
  readonly flags?: number | undefined
}

export interface ExpectedSpan {
  readonly origin: Origin
  readonly traceId: string
  readonly spanId: string
  readonly appId?: string | undefined
  readonly uid?: string | undefined
  readonly chatId?: string | undefined
  readonly batchId?: string | undefined
  /** `service.name`, for a sender that does not know the whole resource. */
  readonly serviceName?: string | undefined
  readonly resource?:
    | {
        readonly attributes: readonly ExpectedKeyValue[]
        readonly droppedAttributesCount?: number | undefined
        readonly schemaUrl?: string | undefined
      }
    | undefined
  readonly scope?:
    | {
        readonly name: string
        readonly version: string
        readonly attributes?: readonly ExpectedKeyValue[] | undefined
        readonly droppedAttributesCount?: number | undefined
        readonly schemaUrl?: string | undefined
      }
    | undefined
  /** `null` = a root. */
  readonly parentSpanId?: string | null | undefined
  readonly flags?: number | undefined
  readonly name?: string | undefined
  readonly kind?: number | undefined
  readonly startTimeNs?: bigint | undefined
  readonly endTimeNs?: bigint | undefined
  readonly statusCode?: number | undefined
  readonly statusMessage?: ExpectedText | undefined
  readonly traceState?: string | undefined
  readonly attributes?: readonly ExpectedKeyValue[] | undefined
  readonly droppedAttributesCount?: number | undefined
  readonly events?: readonly ExpectedEvent[] | undefined
  readonly droppedEventsCount?: number | undefined
  readonly links?: readonly ExpectedLink[] | undefined
  readonly droppedLinksCount?: number | undefined
}

export interface ExpectedUsage {
  readonly questionTokens: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly totalTokens: number
}

export interface ExpectedNode {
  readonly id?: string | undefined
  readonly nodeId?: string | undefined
  readonly nodeType?: string | undefined
  readonly nodeName?: string | undefined
  readonly funcId?: string | undefined
  readonly funcType?: string | undefined
  readonly funcName?: string | undefined
  readonly nextLogIds?: readonly string[] | undefined
  readonly startTimeMs?: number | undefined
  readonly endTimeMs?: number | undefined
  readonly durationMs?: number | undefined
  readonly firstFrameDurationMs?: number | undefined
  readonly nodeFirstCostTime?: number | undefined
  readonly llmOutput?: ExpectedText | undefined
  readonly runningStatus?: boolean | undefined
  readonly data?:
    | {
        readonly input?: readonly ExpectedKeyValue[] | undefined
        readonly output?: readonly ExpectedKeyValue[] | undefined
        readonly config?: readonly ExpectedKeyValue[] | undefined
        readonly usage?: ExpectedUsage | undefined
      }
    | undefined
  readonly logs?: readonly ExpectedText[] | undefined
  readonly extra?: readonly ExpectedKeyValue[] | undefined
}

/** One publication of a NodeTraceLog. The highest revision wins; places only grow. */
export interface ExpectedRevision {
  readonly origin: Origin
  readonly logId: string
  readonly revision: number
  readonly appId?: string | undefined
  readonly uid?: string | undefined
  readonly chatId?: string | undefined
  readonly traceId?: string | null | undefined
  readonly spanId?: string | null | undefined
  readonly serviceId?: string | undefined
  readonly flowId?: string | undefined
  readonly botId?: string | undefined
  readonly sub?: string | undefined
  readonly caller?: string | undefined
  readonly logCaller?: string | undefined
  readonly question?: ExpectedText | undefined
  readonly answer?: ExpectedText | undefined
  readonly startTimeMs?: number | undefined
  readonly endTimeMs?: number | undefined
  readonly durationMs?: number | undefined
  readonly firstFrameDurationMs?: number | undefined
  readonly srv?: readonly ExpectedKeyValue[] | undefined
  readonly srvTag?: readonly ExpectedKeyValue[] | undefined
  readonly status?: { readonly code: number; readonly message: ExpectedText } | undefined
  readonly usage?: ExpectedUsage | undefined
  readonly version?: string | undefined
  /** By place. All nodes of this publication, even if little is known of each. */
  readonly trace: readonly ExpectedNode[]
  readonly extra?: readonly ExpectedKeyValue[] | undefined
}

/** All that was sent for one SID. */
export interface ExpectedTrace {
  readonly sid: string
  readonly spans: readonly ExpectedSpan[]
  readonly revisions: readonly ExpectedRevision[]
}
