/**
 * The package entry `sidereal`: the model of a trace, the interface of a sink, and what is needed to read payloads and settings.
 * Services import `sidereal/producer`; everything else is run by the command `sidereal`.
 */
export { type Config, describeConfig, loadConfig } from './config/config.ts'
export { type AnyValue, type KeyValue, KeyValueList } from './model/any-value.ts'
export {
  ERROR_CODES,
  type ErrorCode,
  isSiderealError,
  SiderealError,
  type SiderealErrorOptions,
} from './model/errors.ts'
export {
  CLOSE_REASONS,
  type CloseReason,
  type Fragment,
  type FragmentFacts,
  type FragmentRecord,
  type LogFact,
  type NodeFact,
  type TokenCounts,
} from './model/fragment.ts'
export type { NodeData, NodeLog, NodeTraceLog, Usage } from './model/node-trace-log.ts'
export { type OffloadableString, PayloadReference } from './model/payload-reference.ts'
export { formatPayloadReference, parsePayloadReference } from './model/payload-reference-text.ts'
export {
  type ParsedSid,
  parseSid,
  SidGenerator,
  type SidGeneratorOptions,
  type SidParts,
} from './model/sid.ts'
export type { RefusedRecord, Sink, WriteResult } from './model/sink.ts'
export type { EntityRef, Resource, Scope, Span, SpanBatch, SpanEvent, SpanLink } from './model/span.ts'
export { type ObjectStore, type ObjectStoreOptions, openObjectStore } from './storage/object-store.ts'
export { readPayload } from './storage/payload-pack.ts'
