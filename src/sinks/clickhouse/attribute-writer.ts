import type { AnyValue, KeyValue } from '../../model/any-value.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import { formatPayloadReference } from '../../model/payload-reference-text.ts'
import { pushValue, type ReferenceCollector } from './any-value-text.ts'
import type { MapColumn } from './native/composite-columns.ts'
import type { LowCardinalityColumn } from './native/low-cardinality-column.ts'

/** Is told each attribute of a row: the index of its key in the block's dictionary, and its value. */
export interface KeyListener {
  onEntry(keyIndex: number, key: string, value: AnyValue): void
}

/** Fills a map column and the type letters beside it. Order and repeated keys stay as they were sent. */
export class AttributeWriter {
  readonly #map: MapColumn
  readonly #types: LowCardinalityColumn
  readonly #references: ReferenceCollector
  #letters = new Uint8Array(64)

  constructor(map: MapColumn, types: LowCardinalityColumn, references: ReferenceCollector) {
    this.#map = map
    this.#types = types
    this.#references = references
  }

  /** @param prefix of the path of a payload in these attributes, such as `attributes.` */
  write(attributes: readonly KeyValue[], prefix: string, listener?: KeyListener): void {
    const { keys, values } = this.#map
    const count = attributes.length
    if (count > this.#letters.length) this.#letters = new Uint8Array(count * 2)
    const letters = this.#letters
    for (let i = 0; i < count; i++) {
      const { key, value } = attributes[i]!
      const keyIndex = keys.pushString(key)
      letters[i] = pushValue(values, value, prefix, key, this.#references)
      listener?.onEntry(keyIndex, key, value)
    }
    this.#map.endRow()
    this.#types.pushBytes(letters, 0, count)
  }
}

/** Fills `payload_refs`. */
export class ReferenceWriter implements ReferenceCollector {
  readonly #map: MapColumn

  constructor(map: MapColumn) {
    this.#map = map
  }

  add(path: string, reference: PayloadReference): void {
    this.#map.keys.pushString(path)
    this.#map.values.pushString(formatPayloadReference(reference))
  }

  endRow(): void {
    this.#map.endRow()
  }
}
