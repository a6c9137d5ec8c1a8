import { type AnyValue, KeyValueList } from '../../model/any-value.ts'
import { PayloadReference } from '../../model/payload-reference.ts'
import type { TextColumn } from './native/text-column.ts'

/** Takes the references that a row's values hold; `path` is that of `model/payload-reference-text.ts`. */
export interface ReferenceCollector {
  add(path: string, reference: PayloadReference): unknown
}

/** Letters of the columns `…_types`: one an entry of the map, so that 5, "5" and 5.0 stay apart. docs/sql.md lists them. */
export const TYPE_LETTERS = {
  null: 'n',
  string: 's',
  int: 'i',
  double: 'd',
  bool: 'b',
  bytes: 'y',
  array: 'a',
  map: 'm',
  payload: 'p',
} as const

const [NULL, STRING, INT, DOUBLE, BOOL, BYTES, ARRAY, MAP, PAYLOAD] = Object.values(TYPE_LETTERS).map(
  (letter) => letter.charCodeAt(0),
) as [number, number, number, number, number, number, number, number, number]

const SMALL_INTEGERS = Array.from({ length: 1024 }, (_, value) => String(value))

/** Adds the text form of a value to a column; returns the code of its type letter. */
export function pushValue(
  column: TextColumn,
  value: AnyValue,
  prefix: string,
  key: string,
  references: ReferenceCollector,
): number {
  switch (typeof value) {
    case 'string':
      column.pushString(value)
      return STRING
    case 'bigint':
      column.pushString(intText(value))
      return INT
    case 'number':
      column.pushString(doubleText(value))
      return DOUBLE
    case 'boolean':
      column.pushString(value ? 'true' : 'false')
      return BOOL
  }
  if (value === null) {
    column.pushEmpty()
    return NULL
  }
  if (value instanceof PayloadReference) {
    column.pushString(value.preview)
    references.add(prefix + key, value)
    return PAYLOAD
  }
  if (value instanceof Uint8Array) {
    column.pushString(base64(value))
    return BYTES
  }
  column.pushString(jsonText(value, prefix + key, references))
  return value instanceof KeyValueList ? MAP : ARRAY
}

/** The text form of a value as it stands in a map column. */
export function valueText(value: AnyValue): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return intText(value)
  if (typeof value === 'number') return doubleText(value)
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (value instanceof PayloadReference) return value.preview
  if (value instanceof Uint8Array) return base64(value)
  return jsonText(value, '', { add: () => undefined })
}

function intText(value: bigint): string {
  const number = Number(value)
  return number >= 0 && number < SMALL_INTEGERS.length ? SMALL_INTEGERS[number]! : value.toString()
}

/** The shortest text that reads back as the same double; `-0`, `NaN`, `Infinity` and `-Infinity` as they are. */
export function doubleText(value: number): string {
  return value === 0 && Object.is(value, -0) ? '-0' : String(value)
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/**
 * JSON for arrays and key-value lists, with nothing lost: integers are bare digits, doubles always have a point or an exponent, and
 * what JSON cannot say is an object of one key: `{"$bytes":"…base64…"}`, `{"$double":"NaN"}`, `{"$payload":"…preview…"}`. A key of a
 * list that begins with `$` gets one more. Order and repeated keys stay.
 */
function jsonText(value: AnyValue, path: string, references: ReferenceCollector): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return jsonDouble(value)
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (value instanceof PayloadReference) {
    references.add(path, value)
    return `{"$payload":${JSON.stringify(value.preview)}}`
  }
  if (value instanceof Uint8Array) return `{"$bytes":"${base64(value)}"}`
  if (value instanceof KeyValueList) {
    const entries = value.entries.map((entry) => {
      const key = entry.key.startsWith('$') ? `$${entry.key}` : entry.key
      return `${JSON.stringify(key)}:${jsonText(entry.value, `${path}.${entry.key}`, references)}`
    })
    return `{${entries.join(',')}}`
  }
  return `[${value.map((item, place) => jsonText(item, `${path}.${place}`, references)).join(',')}]`
}

function jsonDouble(value: number): string {
  if (!Number.isFinite(value)) return `{"$double":"${value}"}`
  const text = doubleText(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}
