import type { KeyValue } from '../../model/any-value.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { EntityRef, Span, SpanBatch } from '../../model/span.ts'
import { type ClampedTimes, FLAG_START_REPLACED } from '../../model/time.ts'
import { SPANS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { AttributeWriter, ReferenceWriter } from './attribute-writer.ts'
import { KnownFields } from './known-fields.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import type { MapRun } from './native/composite-columns.ts'
import { pushRecordContext, type RecordContext, recordContext, uint32 } from './record-context.ts'
import { eventLevel, isErrorSpan } from './span-error.ts'

/** Attributes with a column of their own; the slots of {@link KnownFields} are their places here. */
const KNOWN_KEYS = {
  code: ['code'],
  error_type: ['error.type', 'exception.type'],
  http_method: ['http.request.method', 'http.method'],
  http_route: ['http.route'],
  http_status_code: ['http.response.status_code', 'http.status_code'],
  rpc_service: ['rpc.service'],
  rpc_method: ['rpc.method'],
  db_system: ['db.system.name', 'db.system'],
  messaging_destination: ['messaging.destination.name', 'messaging.destination'],
  server_address: ['server.address', 'net.peer.name'],
  gen_ai_system: ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system', 'llm.vendor'],
  gen_ai_operation: ['gen_ai.operation.name', 'openinference.span.kind', 'llm.request.type'],
  model: [
    'gen_ai.request.model',
    'gen_ai.response.model',
    'llm.model_name',
    'llm.request.model',
    'llm.model',
    'model',
  ],
  input_tokens: [
    'gen_ai.usage.input_tokens',
    'gen_ai.usage.prompt_tokens',
    'llm.token_count.prompt',
    'llm.usage.prompt_tokens',
  ],
  output_tokens: [
    'gen_ai.usage.output_tokens',
    'gen_ai.usage.completion_tokens',
    'llm.token_count.completion',
    'llm.usage.completion_tokens',
  ],
  total_tokens: ['gen_ai.usage.total_tokens', 'llm.token_count.total', 'llm.usage.total_tokens'],
  level: ['level'],
} as const

const SLOTS = Object.fromEntries(Object.keys(KNOWN_KEYS).map((name, slot) => [name, slot])) as {
  readonly [Name in keyof typeof KNOWN_KEYS]: number
}

/** What the rows of one span batch share. */
export interface SpanBatchContext extends RecordContext {
  readonly batch: SpanBatch
  readonly serviceName: string
  readonly serviceVersion: string
  readonly serviceNamespace: string
  readonly serviceInstanceId: string
  readonly deploymentEnvironment: string
  readonly entityRefs: string
  /** Resource and scope in their encoded form, once a row of the filling `runEpoch` has them. */
  runEpoch: object | undefined
  resourceRun: MapRun | undefined
  scopeRun: MapRun | undefined
}

export function spanBatchContext(record: FragmentRecord, batch: SpanBatch): SpanBatchContext {
  const { attributes } = batch.resource
  return {
    ...recordContext(record, 0),
    batch,
    serviceName: resourceText(attributes, 'service.name'),
    serviceVersion: resourceText(attributes, 'service.version'),
    serviceNamespace: resourceText(attributes, 'service.namespace'),
    serviceInstanceId: resourceText(attributes, 'service.instance.id'),
    deploymentEnvironment:
      resourceText(attributes, 'deployment.environment.name') ||
      resourceText(attributes, 'deployment.environment'),
    entityRefs: entityRefsText(batch.resource.entityRefs),
    runEpoch: undefined,
    resourceRun: undefined,
    scopeRun: undefined,
  }
}

/** Fills a block of `spans` from model objects: the reference for every other feeder of the same block. */
export class SpanRows {
  readonly block: Block<typeof SPANS_COLUMNS>
  readonly #references: ReferenceWriter
  readonly #attributes: AttributeWriter
  readonly #resource: AttributeWriter
  readonly #scope: AttributeWriter
  readonly #known = new KnownFields(KNOWN_KEYS)
  readonly #events: AttributeWriter
  readonly #links: AttributeWriter
  /** This filling of this block, and no other's: the runs of an earlier one, or of another block, point nowhere. */
  #epoch: object = {}

  constructor(pool: ChunkPool) {
    this.block = new Block(SPANS_COLUMNS, pool)
    const c = this.block.columns
    this.#references = new ReferenceWriter(c.payload_refs)
    this.#attributes = new AttributeWriter(c.attributes, c.attribute_types, this.#references)
    this.#resource = new AttributeWriter(c.resource_attributes, c.resource_attribute_types, this.#references)
    this.#scope = new AttributeWriter(c.scope_attributes, c.scope_attribute_types, this.#references)
    this.#events = new AttributeWriter(
      c['events.attributes'].items,
      c['events.attribute_types'].items,
      this.#references,
    )
    this.#links = new AttributeWriter(
      c['links.attributes'].items,
      c['links.attribute_types'].items,
      this.#references,
    )
  }

  append(context: SpanBatchContext, span: Span, times: ClampedTimes): void {
    const c = this.block.columns
    const { batch } = context
    c.app_id.pushString(batch.appId)
    c.sid.pushString(batch.sid)
    c.trace_id.pushString(span.traceId)
    c.span_id.pushString(span.spanId)
    c.parent_span_id.pushString(span.parentSpanId ?? '')
    this.#pushTimes(span, times)
    c.uid.pushString(batch.uid)
    c.chat_id.pushString(batch.chatId)
    c.name.pushString(span.name)
    c.kind.push(span.kind)
    c.status_code.push(span.statusCode)
    if (span.statusMessage instanceof PayloadReference) {
      c.status_message.pushString(span.statusMessage.preview)
      this.#references.add('status_message', span.statusMessage)
    } else c.status_message.pushString(span.statusMessage)
    c.is_error.pushBool(isErrorSpan(span))
    this.#attributes.write(span.attributes, 'attributes.', this.#known)
    c.dropped_attributes_count.push(uint32(span.droppedAttributesCount))
    this.#pushKnown(span)
    this.#pushResourceAndScope(context)
    this.#pushEvents(span)
    this.#pushLinks(span)
    c.trace_state.pushString(span.traceState)
    c.flags.push(uint32(span.flags))
    this.#references.endRow()
    c.batch_id.pushString(batch.batchId)
    pushRecordContext(c, context)
    this.block.endRow()
  }

  reset(): void {
    this.block.reset()
    this.#known.endBlock()
    this.#epoch = {}
  }

  #pushTimes(span: Span, times: ClampedTimes): void {
    const c = this.block.columns
    c.start_time.push(times.startNs)
    c.end_time.push(times.endNs)
    c.duration_ns.push(times.durationNs)
    c.time_flags.push(times.flags)
    c.start_time_original.push((times.flags & FLAG_START_REPLACED) !== 0 ? span.startTimeNs : 0n)
    c.end_time_original.push((times.flags & ~FLAG_START_REPLACED) !== 0 ? span.endTimeNs : 0n)
  }

  #pushKnown(span: Span): void {
    const c = this.block.columns
    const known = this.#known
    c.level.pushString(known.text(SLOTS.level) || eventLevel(span))
    c.code.push(known.integer(SLOTS.code))
    c.error_type.pushString(known.text(SLOTS.error_type))
    c.http_method.pushString(known.text(SLOTS.http_method))
    c.http_route.pushString(known.text(SLOTS.http_route))
    const status = Number(known.integer(SLOTS.http_status_code))
    c.http_status_code.push(status > 0 && status < 0x1_0000 ? status : 0)
    c.rpc_service.pushString(known.text(SLOTS.rpc_service))
    c.rpc_method.pushString(known.text(SLOTS.rpc_method))
    c.db_system.pushString(known.text(SLOTS.db_system))
    c.messaging_destination.pushString(known.text(SLOTS.messaging_destination))
    c.server_address.pushString(known.text(SLOTS.server_address))
    c.gen_ai_system.pushString(known.text(SLOTS.gen_ai_system))
    c.gen_ai_operation.pushString(known.text(SLOTS.gen_ai_operation))
    c.model.pushString(known.text(SLOTS.model))
    c.input_tokens.push(known.integer(SLOTS.input_tokens))
    c.output_tokens.push(known.integer(SLOTS.output_tokens))
    c.total_tokens.push(known.integer(SLOTS.total_tokens))
    known.endRow()
  }

  #pushResourceAndScope(context: SpanBatchContext): void {
    const c = this.block.columns
    const { resource, scope } = context.batch
    c.service_name.pushString(context.serviceName)
    c.service_version.pushString(context.serviceVersion)
    c.service_namespace.pushString(context.serviceNamespace)
    c.service_instance_id.pushString(context.serviceInstanceId)
    c.deployment_environment.pushString(context.deploymentEnvironment)
    c.resource_dropped_attributes_count.push(uint32(resource.droppedAttributesCount))
    c.resource_schema_url.pushString(resource.schemaUrl)
    c.resource_entity_refs.pushString(context.entityRefs)
    c.scope_name.pushString(scope.name)
    c.scope_version.pushString(scope.version)
    c.scope_dropped_attributes_count.push(uint32(scope.droppedAttributesCount))
    c.scope_schema_url.pushString(scope.schemaUrl)
    if (context.runEpoch === this.#epoch && context.resourceRun && context.scopeRun) {
      c.resource_attributes.pushRun(context.resourceRun)
      c.resource_attribute_types.repeatLast()
      c.scope_attributes.pushRun(context.scopeRun)
      c.scope_attribute_types.repeatLast()
      return
    }
    // A row with a payload in its resource adds to `payload_refs`, which a run would not: it is written anew each time.
    const hasPayload = resource.attributes.some(mayHoldPayload) || scope.attributes.some(mayHoldPayload)
    const resourceRun = c.resource_attributes.record(() =>
      this.#resource.write(resource.attributes, 'resource.attributes.'),
    )
    const scopeRun = c.scope_attributes.record(() => this.#scope.write(scope.attributes, 'scope.attributes.'))
    context.runEpoch = hasPayload ? undefined : this.#epoch
    context.resourceRun = resourceRun
    context.scopeRun = scopeRun
  }

  #pushEvents(span: Span): void {
    const c = this.block.columns
    span.events.forEach((event, place) => {
      c['events.time'].items.push(event.timeNs)
      c['events.name'].items.pushString(event.name)
      this.#events.write(event.attributes, `events.${place}.attributes.`)
      c['events.dropped_attributes_count'].items.push(uint32(event.droppedAttributesCount))
    })
    c['events.time'].endRow()
    c['events.name'].endRow()
    c['events.attributes'].endRow()
    c['events.attribute_types'].endRow()
    c['events.dropped_attributes_count'].endRow()
    c.dropped_events_count.push(uint32(span.droppedEventsCount))
  }

  #pushLinks(span: Span): void {
    const c = this.block.columns
    span.links.forEach((link, place) => {
      c['links.trace_id'].items.pushString(link.traceId)
      c['links.span_id'].items.pushString(link.spanId)
      c['links.trace_state'].items.pushString(link.traceState)
      this.#links.write(link.attributes, `links.${place}.attributes.`)
      c['links.dropped_attributes_count'].items.push(uint32(link.droppedAttributesCount))
      c['links.flags'].items.push(uint32(link.flags))
    })
    c['links.trace_id'].endRow()
    c['links.span_id'].endRow()
    c['links.trace_state'].endRow()
    c['links.attributes'].endRow()
    c['links.attribute_types'].endRow()
    c['links.dropped_attributes_count'].endRow()
    c['links.flags'].endRow()
    c.dropped_links_count.push(uint32(span.droppedLinksCount))
  }
}

function mayHoldPayload({ value }: KeyValue): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
}

/** The first text of a key, as in the fragment's facts. */
function resourceText(attributes: readonly KeyValue[], key: string): string {
  for (const attribute of attributes) {
    if (attribute.key === key && typeof attribute.value === 'string') return attribute.value
  }
  return ''
}

function entityRefsText(refs: readonly EntityRef[]): string {
  if (refs.length === 0) return ''
  return JSON.stringify(
    refs.map((ref) => ({
      schema_url: ref.schemaUrl,
      type: ref.type,
      id_keys: ref.idKeys,
      description_keys: ref.descriptionKeys,
    })),
  )
}
