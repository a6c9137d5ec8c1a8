import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'

const MAX_DEPTH = 64
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

/**
 * A JavaScript value as an {@link AnyValue}, as OpenTelemetry's exporters see it: whole numbers become int64, others double. What has no
 * form of its own becomes text or null; nesting beyond 64, and a cycle, become null. Never throws.
 */
export function toAnyValue(value: unknown, depth = 0): AnyValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return isInt64(value) ? BigInt(value) : value
    case 'bigint':
      return value >= INT64_MIN && value <= INT64_MAX ? value : value.toString()
    case 'object':
      break
    default:
      return null
  }
  if (value === null || depth >= MAX_DEPTH) return null
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((item) => toAnyValue(item, depth + 1))
  if (value instanceof Set) return [...value].map((item) => toAnyValue(item, depth + 1))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  return new KeyValueList(toKeyValues(value, depth + 1))
}

/** The enumerable fields of an object, in order, without those that are undefined. */
export function toKeyValues(object: object, depth = 0): KeyValue[] {
  const pairs = object instanceof Map ? [...object] : fieldsOf(object)
  return pairs.flatMap(([key, value]) =>
    value === undefined ? [] : [{ key: String(key), value: toAnyValue(value, depth) }],
  )
}

function fieldsOf(object: object): [string, unknown][] {
  return Object.keys(object).map((key): [string, unknown] => {
    try {
      return [key, (object as Record<string, unknown>)[key]]
    } catch (error) {
      // A getter of the application's own: its failure is data here.
      return [key, `[${String(error)}]`]
    }
  })
}

function isInt64(value: number): boolean {
  // 2^63 itself is a double that int64 does not have.
  return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63
}
