import { type AnyValue, type KeyValue, KeyValueList } from '../model/any-value.ts'
import { entriesOf, failureText, ownForm, ValueWalk } from './foreign-values.ts'

const MAX_DEPTH = 64
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

/**
 * A JavaScript value as an {@link AnyValue}, as OpenTelemetry's exporters see it: whole numbers become int64, others double. What has no
 * form of its own becomes text or null; nesting beyond 64, a cycle, and what comes after a million values become null. Never throws.
 */
export function toAnyValue(value: unknown): AnyValue {
  return convert(value, new ValueWalk(MAX_DEPTH))
}

/** The enumerable fields of an object, in order, without those that are undefined. Only a proxy makes it throw. */
export function toKeyValues(object: object): KeyValue[] {
  return keyValuesOf(object, new ValueWalk(MAX_DEPTH))
}

function convert(value: unknown, walk: ValueWalk): AnyValue {
  if (!walk.takesOne()) return null
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
  if (value === null || !walk.enter(value)) return null
  try {
    return objectOf(value, walk)
  } catch (error) {
    // A proxy, or a field that throws.
    return failureText(error)
  } finally {
    walk.leave()
  }
}

function objectOf(value: object, walk: ValueWalk): AnyValue {
  if (value instanceof Uint8Array) return value
  // Not `map`, which leaves the holes of a list as they are.
  if (Array.isArray(value) || value instanceof Set) return Array.from(value, (item) => convert(item, walk))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  const own = ownForm(value)
  return own === undefined ? new KeyValueList(keyValuesOf(value, walk)) : convert(own.form, walk)
}

function keyValuesOf(object: object, walk: ValueWalk): KeyValue[] {
  const pairs: KeyValue[] = []
  for (const [key, value] of entriesOf(object))
    if (value !== undefined) pairs.push({ key, value: convert(value, walk) })
  return pairs
}

function isInt64(value: number): boolean {
  // 2^63 itself is a double that int64 does not have.
  return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63
}
