import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import { type OffloadableString, PayloadReference } from '../model/payload-reference.ts'
import type { Span } from '../model/span.ts'

const FIELD_BYTES = 4
const REFERENCE_BYTES = 80

/** About how many bytes a span takes in a record; never much too small. Counts three bytes a character outside Latin-1 only when it must. */
export function estimateSpanBytes(span: Span): number {
  let bytes =
    80 +
    textBytes(span.name) +
    offloadableBytes(span.statusMessage) +
    textBytes(span.traceState) +
    listBytes(span.attributes)
  for (const event of span.events) bytes += 16 + textBytes(event.name) + listBytes(event.attributes)
  for (const link of span.links) bytes += 36 + textBytes(link.traceState) + listBytes(link.attributes)
  return bytes
}

function listBytes(entries: readonly KeyValue[]): number {
  let bytes = FIELD_BYTES
  for (const { key, value } of entries) bytes += textBytes(key) + valueBytes(value)
  return bytes
}

function valueBytes(value: AnyValue): number {
  if (typeof value === 'string') return textBytes(value)
  if (value === null || typeof value !== 'object') return 11
  if (value instanceof Uint8Array) return FIELD_BYTES + value.length
  if (value instanceof KeyValueList) return listBytes(value.entries)
  if (value instanceof PayloadReference) return REFERENCE_BYTES + textBytes(value.preview)
  let bytes = FIELD_BYTES
  for (const item of value as readonly AnyValue[]) bytes += valueBytes(item)
  return bytes
}

function offloadableBytes(value: OffloadableString): number {
  return typeof value === 'string' ? textBytes(value) : REFERENCE_BYTES + textBytes(value.preview)
}

function textBytes(text: string): number {
  return FIELD_BYTES + Buffer.byteLength(text)
}
