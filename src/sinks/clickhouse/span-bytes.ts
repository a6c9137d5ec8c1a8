import { PartCache } from '../../codec/part-cache.ts'
import type { AnyValue } from '../../model/any-value.ts'
import type { FragmentRecord } from '../../model/fragment.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import { STATUS_ERROR } from '../../model/span.ts'
import { TimeClamp } from '../../model/time.ts'
import { AttributeBytes } from './attribute-bytes.ts'
import type { ReferenceWriter } from './attribute-writer.ts'
import type { KnownFields } from './known-fields.ts'
import { type LookupRows, noLookupText } from './lookup-rows.ts'
import { RecordContextColumns, uint32 } from './record-context.ts'
import type { ResourceColumns, ResourcePart, ScopeColumns, ScopePart } from './shared-parts.ts'
import type { SpanWalk } from './span-bytes-walk.ts'
import { ArrayGroup, LEVEL_FIELD, pushSparseCount, type SpanBlock } from './span-columns.ts'
import { EVENT_LEVELS, levelOfEvent } from './span-error.ts'
import { PAYLOAD_LIST, type PayloadList, SpanReferences } from './span-references.ts'
import { TimeBounds } from './time-bounds.ts'

const NO_LEVEL = -1
const ERROR_LEVEL = EVENT_LEVELS.indexOf('ERROR')

/**
 * Fills a block of `spans`, and the rows of `id_lookup`, from the bytes of a record, by a walk that is generated from the writer schema
 * (`span-bytes-plan.ts`), with no object in between. Takes records all of whose spans start on one day of the range that days can express, with no payload
 * reference in resource or scope; {@link SpanRows} takes the others, and both give the same bytes.
 * The public members up to `append` are for the walk.
 */
export class SpanBytes {
  readonly attributes: AttributeBytes
  readonly eventAttributes: AttributeBytes
  readonly linkAttributes: AttributeBytes
  readonly known: KnownFields
  /** Whether an attribute of the span says that it is an error. */
  isError = false
  readonly #block: SpanBlock
  readonly #resources: ResourceColumns
  readonly #scopes: ScopeColumns
  readonly #events: ArrayGroup
  readonly #links: ArrayGroup
  readonly #resourceParts = new PartCache<ResourcePart>()
  readonly #scopeParts = new PartCache<ScopePart>()
  readonly #levels: number[] = []
  readonly #clamp = new TimeClamp()
  readonly #references: SpanReferences
  #walk: SpanWalk | undefined
  #lookup: LookupRows | undefined
  #level = NO_LEVEL
  #firstRow = 0
  /** Of the record's start times. */
  readonly #starts = new TimeBounds()
  readonly #ids = noLookupText()
  readonly #context: RecordContextColumns

  constructor(
    block: SpanBlock,
    known: KnownFields,
    resources: ResourceColumns,
    scopes: ScopeColumns,
    references: ReferenceWriter,
  ) {
    const c = block.columns
    this.#references = new SpanReferences(references)
    this.#block = block
    this.known = known
    this.#resources = resources
    this.#scopes = scopes
    this.#context = new RecordContextColumns(c)
    this.#events = new ArrayGroup(c, 'events.')
    this.#links = new ArrayGroup(c, 'links.')
    this.attributes = new AttributeBytes(c.attributes, c.attribute_types)
    this.eventAttributes = new AttributeBytes(c['events.attributes'].items, c['events.attribute_types'].items)
    this.linkAttributes = new AttributeBytes(c['links.attributes'].items, c['links.attribute_types'].items)
  }

  beginSpan(): void {
    this.isError = false
    this.#level = NO_LEVEL
  }

  /** Adds the value of an attribute that is rare; returns its letter. */
  pushOther(columns: AttributeBytes, list: PayloadList, key: number, value: AnyValue): number {
    const references = this.#references
    references.list = list
    return columns.pushOther(key, value, references.prefix, references)
  }

  addStatusReference(reference: PayloadReference): void {
    const column = this.#block.columns.status_message
    column.pad(this.#block.rows)
    column.pushString(reference.preview)
    this.#references.list = PAYLOAD_LIST.status
    this.#references.add('status_message', reference)
  }

  beginEvents(): void {
    this.#references.place = 0
    this.#events.beginRow(this.#block.rows)
  }

  addEvent(
    b: Buffer,
    nameAt: number,
    nameLength: number,
    timeHigh: number,
    timeLow: number,
    dropped: number,
  ): void {
    const c = this.#block.columns
    const names = c['events.name'].items
    const name = names.pushBytes(b, nameAt, nameAt + nameLength)
    let level = this.#levels[name]
    if (level === undefined) {
      level = levelOfEvent(names.textOf(name))
      this.#levels[name] = level
    }
    if (level > this.#level) this.#level = level
    c['events.time'].items.pushHalves(timeHigh, timeLow)
    c['events.dropped_attributes_count'].items.push(uint32(dropped))
    this.#references.place += 1
  }

  endEvents(): void {
    this.#events.endRow()
  }

  beginLinks(): void {
    this.#references.place = 0
    this.#links.beginRow(this.#block.rows)
  }

  addLink(
    b: Buffer,
    traceAt: number,
    spanAt: number,
    stateAt: number,
    stateLength: number,
    dropped: number,
    flags: number,
  ): void {
    const c = this.#block.columns
    c['links.trace_id'].items.pushHex(b, traceAt, 16)
    c['links.span_id'].items.pushHex(b, spanAt, 8)
    c['links.trace_state'].items.pushUtf8(b, stateAt, stateAt + stateLength)
    c['links.dropped_attributes_count'].items.push(uint32(dropped))
    c['links.flags'].items.push(uint32(flags))
    this.#references.place += 1
  }

  endLinks(): void {
    this.#links.endRow()
  }

  addTimes(startHigh: number, startLow: number, endHigh: number, endLow: number): void {
    const c = this.#block.columns
    const clamp = this.#clamp
    clamp.clamp(startHigh, startLow, endHigh, endLow, 0, 0)
    c.start_time.pushHalves(startHigh, startLow)
    c.end_time.pushHalves(clamp.endHigh, clamp.endLow)
    const borrow = clamp.endLow < startLow ? 1 : 0
    c.duration_ns.pushHalves(clamp.endHigh - startHigh - borrow, clamp.endLow - startLow)
    this.#starts.include(startHigh, startLow)
    if (clamp.flags === 0) return
    const row = this.#block.rows
    c.time_flags.pad(row)
    c.time_flags.push(clamp.flags)
    c.end_time_original.pad(row)
    c.end_time_original.pushHalves(endHigh, endLow)
  }

  /** @param parentAt position of the parent's span id, or −1 */
  addSpan(
    b: Buffer,
    traceAt: number,
    spanAt: number,
    parentAt: number,
    nameAt: number,
    nameLength: number,
    kind: number,
    flags: number,
    statusCode: number,
    messageAt: number,
    messageLength: number,
    stateAt: number,
    stateLength: number,
  ): void {
    const c = this.#block.columns
    c.trace_id.pushHex(b, traceAt, 16)
    c.span_id.pushHex(b, spanAt, 8)
    if (parentAt < 0) c.parent_span_id.pushEmpty()
    else c.parent_span_id.pushHex(b, parentAt, 8)
    c.name.pushBytes(b, nameAt, nameAt + nameLength)
    c.kind.push(kind)
    c.flags.push(uint32(flags))
    c.status_code.push(statusCode)
    c.is_error.pushBool(this.isError || statusCode === STATUS_ERROR || this.#level === ERROR_LEVEL)
    if (messageLength > 0) {
      c.status_message.pad(this.#block.rows)
      c.status_message.pushUtf8(b, messageAt, messageAt + messageLength)
    }
    if (stateLength > 0) {
      c.trace_state.pad(this.#block.rows)
      c.trace_state.pushUtf8(b, stateAt, stateAt + stateLength)
    }
    if (this.#level !== NO_LEVEL) this.known.fillText(LEVEL_FIELD, EVENT_LEVELS[this.#level]!)
    this.known.pushRow(this.#block.rows, b)
    this.#lookup?.addTrace(b, traceAt)
  }

  addDropped(attributes: number, events: number, links: number): void {
    const c = this.#block.columns
    const row = this.#block.rows
    pushSparseCount(c.dropped_attributes_count, attributes, row)
    pushSparseCount(c.dropped_events_count, events, row)
    pushSparseCount(c.dropped_links_count, links, row)
  }

  endSpan(): void {
    this.#references.endRow()
    this.#block.endRow()
  }

  addIdentity(
    b: Buffer,
    sidAt: number,
    sidLength: number,
    appAt: number,
    appLength: number,
    uidAt: number,
    uidLength: number,
    chatAt: number,
    chatLength: number,
    batchAt: number,
  ): void {
    const c = this.#block.columns
    const count = this.#block.rows - this.#firstRow
    c.app_id.pushTimes(c.app_id.internBytes(b, appAt, appAt + appLength), count)
    c.sid.pushUtf8Times(b, sidAt, sidAt + sidLength, count)
    c.uid.pushUtf8Times(b, uidAt, uidAt + uidLength, count)
    c.chat_id.pushUtf8Times(b, chatAt, chatAt + chatLength, count)
    c.batch_id.pushHexTimes(b, batchAt, 16, count)
    const ids = this.#ids
    ids.sidAt = sidAt
    ids.sidLength = sidLength
    ids.appAt = appAt
    ids.appLength = appLength
    ids.uidAt = uidAt
    ids.uidLength = uidLength
    ids.chatAt = chatAt
    ids.chatLength = chatLength
  }

  addShared(b: Buffer, resourceAt: number, resourceEnd: number, scopeAt: number, scopeEnd: number): void {
    const count = this.#block.rows - this.#firstRow
    const walk = this.#walk!
    let resource = this.#resourceParts.find(b, resourceAt, resourceEnd)
    if (resource === undefined) {
      resource = this.#resources.encode(walk.decodeResource(b, resourceAt, resourceEnd))
      this.#resourceParts.add(b, resourceAt, resourceEnd, resource)
    }
    this.#resources.push(resource, count)
    let scope = this.#scopeParts.find(b, scopeAt, scopeEnd)
    if (scope === undefined) {
      scope = this.#scopes.encode(walk.decodeScope(b, scopeAt, scopeEnd))
      this.#scopeParts.add(b, scopeAt, scopeEnd, scope)
    }
    this.#scopes.push(scope, count)
  }

  /** Adds the rows of a record, and what it says about its ids to `lookup`. */
  append(walk: SpanWalk, record: FragmentRecord, lookup: LookupRows | undefined): void {
    this.#walk = walk
    this.#lookup = lookup
    this.#firstRow = this.#block.rows
    this.#starts.reset()
    this.#references.clear()
    const { memory } = record
    walk.feed(memory, record.contentStart, record.contentEnd, this)
    lookup?.addRecord(memory, this.#ids, this.#starts, record.receivedAtMs)
    this.#context.push(record, this.#block.rows - this.#firstRow)
  }

  endBlock(): void {
    this.#resourceParts.clear()
    this.#scopeParts.clear()
    this.#levels.length = 0
  }
}
