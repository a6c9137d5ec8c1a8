/** The package entry `sidereal/producer`: what a service imports. */

export type { KafkaConnection } from '../kafka/client.ts'
export type { Compression } from '../kafka/codecs.ts'
export { isSiderealError, SiderealError } from '../model/errors.ts'
export type { NodeTraceLog as NodeTraceLogRecord, Usage } from '../model/node-trace-log.ts'
export {
  type ParsedSid,
  parseSid,
  SidGenerator,
  type SidGeneratorOptions,
  type SidParts,
} from '../model/sid.ts'
export type { Logger } from '../telemetry/logger.ts'
export type { BaggageHostRules, HostRules } from './baggage-hosts.ts'
export type { DropReason, ItemStats } from './delivery-counts.ts'
export { FileSpanExporter, type FileSpanExporterOptions } from './file-span-exporter.ts'
export type { FurtherExporter, OtlpExporterConfig } from './further-exporters.ts'
export type { Identity } from './identity.ts'
export { withIdentityAttributes } from './identity-attributes.ts'
export type { IdentityPeerRules } from './inbound-identity.ts'
export { KafkaSpanExporter, type KafkaSpanExporterOptions } from './kafka-span-exporter.ts'
export { type Data, NodeLog, type NodeLogInit } from './node-log.ts'
export { NodeTraceLog, type NodeTraceLogInit, type Status } from './node-trace-log.ts'
export type { LargeTextStore, NodeTraceLogTextFaults } from './node-trace-log-text.ts'
export type { RunResult, Untyped } from './run-to-end.ts'
export { type EndedSpans, SidSpanProcessor, type SidSpanProcessorOptions } from './sid-span-processor.ts'
export { Span, type SpanInit } from './span.ts'
export { SpanLevel } from './span-level.ts'
export type { SpoolSettings } from './spool-overflow.ts'
export type { StartOptions } from './start-options.ts'
export { type Carrier, type CarrierMap, SidPropagator, Trace } from './trace-context.ts'
export { type SidConfig, type TracingConfig, tracingConfigFromEnv } from './tracing-config.ts'
export { initTracing, TracingService, type TracingStats } from './tracing-service.ts'
export { WorkflowLog } from './workflow-log.ts'
