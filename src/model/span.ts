import type { AnyValue, KeyValue } from './any-value.ts'
import type { OffloadableString } from './payload-reference.ts'

export type { AnyValue, KeyValue }

/** OTLP `EntityRef`. */
export interface EntityRef {
  schemaUrl: string
  type: string
  idKeys: string[]
  descriptionKeys: string[]
}

/** OTLP `Resource` with the schema URL that `ResourceSpans` gives it. */
export interface Resource {
  attributes: KeyValue[]
  /** uint32 */
  droppedAttributesCount: number
  schemaUrl: string
  entityRefs: EntityRef[]
}

/** OTLP `InstrumentationScope` with the schema URL that `ScopeSpans` gives it. */
export interface Scope {
  name: string
  version: string
  attributes: KeyValue[]
  droppedAttributesCount: number
  schemaUrl: string
}

export interface SpanEvent {
  timeNs: bigint
  name: string
  attributes: KeyValue[]
  droppedAttributesCount: number
}

export interface SpanLink {
  /** 32 lower-case hex digits. */
  traceId: string
  /** 16 lower-case hex digits. */
  spanId: string
  traceState: string
  attributes: KeyValue[]
  droppedAttributesCount: number
  flags: number
}

/** OTLP `Span`: field for field, lossless to the nanosecond. */
export interface Span {
  /** 32 lower-case hex digits. */
  traceId: string
  /** 16 lower-case hex digits. */
  spanId: string
  /** 16 lower-case hex digits, or `null` for a root. */
  parentSpanId: string | null
  /** OTLP flags: bits 0–7 W3C trace flags, bit 8 "is remote is known", bit 9 "parent is remote". */
  flags: number
  name: string
  /** OTLP number of the kind (0 unspecified … 5 consumer). */
  kind: number
  startTimeNs: bigint
  endTimeNs: bigint
  /** OTLP number: 0 unset, 1 ok, 2 error. */
  statusCode: number
  statusMessage: OffloadableString
  traceState: string
  attributes: KeyValue[]
  droppedAttributesCount: number
  events: SpanEvent[]
  droppedEventsCount: number
  links: SpanLink[]
  droppedLinksCount: number
}

/** The spans that one service ended for one SID in one flush: one Kafka record. */
export interface SpanBatch {
  sid: string
  appId: string
  uid: string
  chatId: string
  /** 32 lower-case hex digits: UUIDv7, or derived from content. Set once, kept through spool and retry. */
  batchId: string
  resource: Resource
  scope: Scope
  spans: Span[]
}

/** OTLP span flags (trace.proto `SpanFlags`). */
export const FLAG_HAS_IS_REMOTE = 0x100
export const FLAG_IS_REMOTE = 0x200

export const STATUS_UNSET = 0
export const STATUS_OK = 1
export const STATUS_ERROR = 2
