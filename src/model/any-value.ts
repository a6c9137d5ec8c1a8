import type { PayloadReference } from './payload-reference.ts'

/**
 * A value of OTLP's `AnyValue`, lossless. The JavaScript type says which member of the union it is:
 *
 * | OTLP | here |
 * |---|---|
 * | unset | `null` |
 * | string_value | `string` (well-formed UTF-16) |
 * | int_value | `bigint` (int64) |
 * | double_value | `number` (NaN, ±Infinity and −0 included) |
 * | bool_value | `boolean` |
 * | bytes_value | `Uint8Array` |
 * | array_value | `AnyValue[]` |
 * | kvlist_value | {@link KeyValueList} (order and repeated keys kept) |
 * | — | {@link PayloadReference}: the value was moved to object storage, or cut |
 */
export type AnyValue =
  | null
  | string
  | bigint
  | number
  | boolean
  | Uint8Array
  | readonly AnyValue[]
  | KeyValueList
  | PayloadReference

/** One attribute. Keys may repeat and may be empty, as in OTLP. */
export interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

/** OTLP's `KeyValueList`: a map that keeps order and repeated keys. */
export class KeyValueList {
  readonly entries: readonly KeyValue[]

  constructor(entries: readonly KeyValue[]) {
    this.entries = entries
  }
}
