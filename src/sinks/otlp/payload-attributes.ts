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
  const plain = attributes.some(({ value }) => holdsReference(value))
    ? attributes.map(({ key, value }) => ({ key, value: plainValue(value, key, references) }))
    : attributes
  for (const { name, value } of more) {
    if (value instanceof PayloadReference) references.push(referenceAttribute(name, value))
  }
  return references.length === 0 ? plain : [...plain, ...references]
}

/** The attribute that says where the value at the path is. */
export function referenceAttribute(path: string, reference: PayloadReference): KeyValue {
  return { key: REFERENCE_PREFIX + path, value: formatPayloadReference(reference) }
}

/** The text, or the preview of a value that was moved. */
export function textOf(value: OffloadableString): string {
  return value instanceof PayloadReference ? value.preview : value
}

export function holdsReference(value: AnyValue): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false
  if (value instanceof PayloadReference) return true
  if (value instanceof KeyValueList) return value.entries.some((entry) => holdsReference(entry.value))
  return value.some(holdsReference)
}

/** The value with previews in the place of references; adds the attributes of these. */
export function plainValue(value: AnyValue, path: string, references: KeyValue[]): AnyValue {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (value instanceof PayloadReference) {
    references.push(referenceAttribute(path, value))
    return value.preview
  }
  if (value instanceof KeyValueList) {
    return new KeyValueList(
      value.entries.map((entry) => ({
        key: entry.key,
        value: plainValue(entry.value, `${path}.${entry.key}`, references),
      })),
    )
  }
  return value.map((item, place) => plainValue(item, `${path}.${place}`, references))
}
