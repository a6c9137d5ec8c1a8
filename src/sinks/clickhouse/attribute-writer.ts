import type { KeyValue } from '../../model/any-value.ts'
import type { PayloadReference } from '../../model/payload-reference.ts'
import { formatPayloadReference } from '../../model/payload-reference-text.ts'
import { pushValue, type ReferenceCollector } from './any-value-text.ts'
import type { KnownFields } from './known-fields.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import type { EncodedMap, MapColumn } from './native/composite-columns.ts'
import type { LowCardinalityColumn } from './native/low-cardinality-column.ts'
import { TextColumn } from './native/text-column.ts'

/** Fills a map column and the type letters beside it. Order and repeated keys stay as they were sent. */
export class AttributeWriter {
  readonly #map: MapColumn
  readonly #types: LowCardinalityColumn
  readonly #references: ReferenceCollector
  #letters = Buffer.alloc(64)

  constructor(map: MapColumn, types: LowCardinalityColumn, references: ReferenceCollector) {
    this.#map = map
    this.#types = types
    this.#references = references
  }

  /** @param prefix of the path of a payload in these attributes, such as `attributes.` */
  write(attributes: readonly KeyValue[], prefix: string, known?: KnownFields): void {
    const { keys, values } = this.#map
    const count = attributes.length
    if (count > this.#letters.length) this.#letters = Buffer.alloc(count * 2)
    const letters = this.#letters
    for (let i = 0; i < count; i++) {
      const { key, value } = attributes[i]!
      const keyIndex = keys.pushString(key)
      letters[i] = pushValue(values, value, prefix, key, this.#references)
      if (known === undefined) continue
      const role = known.roleOf(keyIndex)
      if (role >= 0) known.set(role, value)
    }
    this.#map.endRow()
    this.#types.pushBytes(letters, 0, count)
  }
}

/** A map column and the type letters beside it, for many rows of one block. */
export interface EncodedAttributes {
  readonly entries: EncodedMap
  /** Index of the letters in their dictionary. */
  readonly types: number
  /** The payloads among the values, by path. */
  readonly references: readonly (readonly [path: string, reference: PayloadReference])[]
}

/** Encodes attributes that many rows of a block share, such as those of a resource. */
export class AttributeEncoder {
  readonly #map: MapColumn
  readonly #types: LowCardinalityColumn
  readonly #values: TextColumn

  constructor(map: MapColumn, types: LowCardinalityColumn, pool: ChunkPool) {
    this.#map = map
    this.#types = types
    this.#values = new TextColumn(pool)
  }

  /** @param prefix as for {@link AttributeWriter.write} */
  encode(attributes: readonly KeyValue[], prefix: string): EncodedAttributes {
    const references: [string, PayloadReference][] = []
    const collector = {
      add: (path: string, reference: PayloadReference) => references.push([path, reference]),
    }
    const keys = new Uint32Array(attributes.length)
    const letters = Buffer.alloc(attributes.length)
    attributes.forEach(({ key, value }, place) => {
      keys[place] = this.#map.keys.intern(key)
      letters[place] = pushValue(this.#values, value, prefix, key, collector)
    })
    const values = this.#values.encoded()
    this.#values.reset()
    return { entries: { keys, values }, types: this.#types.intern(letters.toString('latin1')), references }
  }

  push({ entries, types }: EncodedAttributes, count: number): void {
    this.#map.pushTimes(entries, count)
    this.#types.pushTimes(types, count)
  }
}

/** Fills `payload_refs`, a sparse column. */
export class ReferenceWriter implements ReferenceCollector {
  readonly #block: { readonly rows: number }
  readonly #map: MapColumn
  #isRowOpen = false

  constructor(block: { readonly rows: number }, map: MapColumn) {
    this.#block = block
    this.#map = map
  }

  add(path: string, reference: PayloadReference): void {
    if (!this.#isRowOpen) this.#map.pad(this.#block.rows)
    this.#isRowOpen = true
    this.#map.keys.pushString(path)
    this.#map.values.pushString(formatPayloadReference(reference))
  }

  endRow(): void {
    if (!this.#isRowOpen) return
    this.#isRowOpen = false
    this.#map.endRow()
  }
}
