import { type AnyValue, type KeyValue, KeyValueList } from '../../model/any-value.ts'
import { type OffloadableString, PayloadReference } from '../../model/payload-reference.ts'
import { formatPayloadReference } from '../../model/payload-reference-text.ts'

/** OTLP has no references: the value becomes its preview, and the reference an attribute of this name plus the path, beside it. */
export const REFERENCE_PREFIX = 'sidereal.payload.'

/**
 * The attributes with previews in the place of payload references, followed by one attribute a reference:
 * `sidereal.payload.<key>` (inside arrays and lists `sidereal.payload.<key>.<place or key>`) with its text form.
 * The same array when there is none.
 */
export function spreadReferences(
  attributes: readonly KeyValue[],
  more: readonly { name: string; value: OffloadableString }[] = [],
): readonly KeyValue[] {
  const references: KeyValue[] = []
  const add = (path: string, reference: PayloadReference): string => {
    references.push({ key: REFERENCE_PREFIX + path, value: formatPayloadReference(reference) })
    return reference.preview
  }
  const plain = attributes.some(({ value }) => holdsReference(value))
    ? attributes.map(({ key, value }) => ({ key, value: toPlain(value, key, add) }))
    : attributes
  for (const { name, value } of more) {
    if (value instanceof PayloadReference) add(name, value)
  }
  return references.length === 0 ? plain : [...plain, ...references]
}

/** The text, or the preview of a value that was moved. */
export function textOf(value: OffloadableString): string {
  return value instanceof PayloadReference ? value.preview : value
}

function holdsReference(value: AnyValue): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false
  if (value instanceof PayloadReference) return true
  if (value instanceof KeyValueList) return value.entries.some((entry) => holdsReference(entry.value))
  return value.some(holdsReference)
}

function toPlain(
  value: AnyValue,
  path: string,
  add: (path: string, reference: PayloadReference) => string,
): AnyValue {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (value instanceof PayloadReference) return add(path, value)
  if (value instanceof KeyValueList) {
    return new KeyValueList(
      value.entries.map((entry) => ({
        key: entry.key,
        value: toPlain(entry.value, `${path}.${entry.key}`, add),
      })),
    )
  }
  return value.map((item, place) => toPlain(item, `${path}.${place}`, add))
}
