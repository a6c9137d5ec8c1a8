import type { FragmentRecord } from '../../model/fragment.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { Span, SpanBatch } from '../../model/span.ts'
import { type ClampedTimes, FLAG_START_REPLACED } from '../../model/time.ts'
import { AttributeWriter, type EncodedAttributes, ReferenceWriter } from './attribute-writer.ts'
import type { KnownFields } from './known-fields.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import { pushRecordContext, type RecordContext, recordContext, uint32 } from './record-context.ts'
import { ResourceColumns, type ResourcePart, ScopeColumns, type ScopePart } from './shared-parts.ts'
import { SpanBytes } from './span-bytes.ts'
import {
  ArrayGroup,
  createKnownFields,
  createSpanBlock,
  LEVEL_FIELD,
  pushSparseCount,
  type SpanBlock,
} from './span-columns.ts'
import { eventLevel, isErrorSpan } from './span-error.ts'

/** What the rows of one span batch share. */
export interface SpanBatchContext extends RecordContext {
  readonly batch: SpanBatch
  /** Resource and scope as the filling `epoch` of a block has them. */
  parts: { readonly epoch: object; readonly resource: ResourcePart; readonly scope: ScopePart } | undefined
}

export function spanBatchContext(record: FragmentRecord, batch: SpanBatch): SpanBatchContext {
  return { ...recordContext(record, 0), batch, parts: undefined }
}

/** Fills a block of `spans` from model objects: the reference for {@link SpanBytes}, which fills the same block. */
export class SpanRows {
  readonly block: SpanBlock
  /** The feeder for records whose bytes are the row. */
  readonly bytes: SpanBytes
  readonly #references: ReferenceWriter
  readonly #attributes: AttributeWriter
  readonly #resources: ResourceColumns
  readonly #scopes: ScopeColumns
  readonly #known: KnownFields
  readonly #events: AttributeWriter
  readonly #links: AttributeWriter
  readonly #eventsGroup: ArrayGroup
  readonly #linksGroup: ArrayGroup
  /** This filling of this block, and no other's: encoded parts of an earlier one, or of another block, mean nothing here. */
  #epoch: object = {}

  constructor(pool: ChunkPool) {
    this.block = createSpanBlock(pool)
    const c = this.block.columns
    this.#references = new ReferenceWriter(this.block, c.payload_refs)
    this.#attributes = new AttributeWriter(c.attributes, c.attribute_types, this.#references)
    this.#resources = new ResourceColumns(c, pool)
    this.#scopes = new ScopeColumns(c, pool)
    this.#known = createKnownFields(c)
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
    this.#eventsGroup = new ArrayGroup(c, 'events.')
    this.#linksGroup = new ArrayGroup(c, 'links.')
    this.bytes = new SpanBytes(this.block, this.#known, this.#resources, this.#scopes, this.#references)
  }

  append(context: SpanBatchContext, span: Span, times: ClampedTimes): void {
    const c = this.block.columns
    const row = this.block.rows
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
    this.#pushStatusMessage(span)
    c.is_error.pushBool(isErrorSpan(span))
    this.#attributes.write(span.attributes, 'attributes.', this.#known)
    this.#known.fillText(LEVEL_FIELD, eventLevel(span))
    this.#known.pushRow(row)
    this.#pushResourceAndScope(context)
    this.#pushEvents(span)
    this.#pushLinks(span)
    pushSparseCount(c.dropped_attributes_count, span.droppedAttributesCount, row)
    pushSparseCount(c.dropped_events_count, span.droppedEventsCount, row)
    pushSparseCount(c.dropped_links_count, span.droppedLinksCount, row)
    if (span.traceState !== '') {
      c.trace_state.pad(row)
      c.trace_state.pushString(span.traceState)
    }
    c.flags.push(uint32(span.flags))
    this.#references.endRow()
    c.batch_id.pushString(batch.batchId)
    pushRecordContext(c, context)
    this.block.endRow()
  }

  reset(): void {
    this.block.reset()
    this.#known.endBlock()
    this.bytes.endBlock()
    this.#epoch = {}
  }

  #pushTimes(span: Span, times: ClampedTimes): void {
    const c = this.block.columns
    const row = this.block.rows
    c.start_time.push(times.startNs)
    c.end_time.push(times.endNs)
    c.duration_ns.push(times.durationNs)
    if (times.flags === 0) return
    c.time_flags.pad(row)
    c.time_flags.push(times.flags)
    c.start_time_original.pad(row)
    c.start_time_original.push((times.flags & FLAG_START_REPLACED) !== 0 ? span.startTimeNs : 0n)
    c.end_time_original.pad(row)
    c.end_time_original.push((times.flags & ~FLAG_START_REPLACED) !== 0 ? span.endTimeNs : 0n)
  }

  #pushStatusMessage({ statusMessage }: Span): void {
    if (statusMessage === '') return
    const column = this.block.columns.status_message
    column.pad(this.block.rows)
    if (statusMessage instanceof PayloadReference) {
      column.pushString(statusMessage.preview)
      this.#references.add('status_message', statusMessage)
    } else column.pushString(statusMessage)
  }

  #pushResourceAndScope(context: SpanBatchContext): void {
    if (context.parts?.epoch !== this.#epoch) {
      context.parts = {
        epoch: this.#epoch,
        resource: this.#resources.encode(context.batch.resource),
        scope: this.#scopes.encode(context.batch.scope),
      }
    }
    const { resource, scope } = context.parts
    this.#resources.push(resource, 1)
    this.#scopes.push(scope, 1)
    this.#addReferences(resource.attributes)
    this.#addReferences(scope.attributes)
  }

  #addReferences({ references }: EncodedAttributes): void {
    for (const [path, reference] of references) this.#references.add(path, reference)
  }

  #pushEvents(span: Span): void {
    if (span.events.length === 0) return
    const c = this.block.columns
    this.#eventsGroup.beginRow(this.block.rows)
    span.events.forEach((event, place) => {
      c['events.time'].items.push(event.timeNs)
      c['events.name'].items.pushString(event.name)
      this.#events.write(event.attributes, `events.${place}.attributes.`)
      c['events.dropped_attributes_count'].items.push(uint32(event.droppedAttributesCount))
    })
    this.#eventsGroup.endRow()
  }

  #pushLinks(span: Span): void {
    if (span.links.length === 0) return
    const c = this.block.columns
    this.#linksGroup.beginRow(this.block.rows)
    span.links.forEach((link, place) => {
      c['links.trace_id'].items.pushString(link.traceId)
      c['links.span_id'].items.pushString(link.spanId)
      c['links.trace_state'].items.pushString(link.traceState)
      this.#links.write(link.attributes, `links.${place}.attributes.`)
      c['links.dropped_attributes_count'].items.push(uint32(link.droppedAttributesCount))
      c['links.flags'].items.push(uint32(link.flags))
    })
    this.#linksGroup.endRow()
  }
}
