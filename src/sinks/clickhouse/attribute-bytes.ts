import type { AnyValue } from '../../model/any-value.ts'
import { doubleText, pushValue, type ReferenceCollector } from './any-value-text.ts'
import type { MapColumn } from './native/composite-columns.ts'
import type { LowCardinalityColumn } from './native/low-cardinality-column.ts'
import type { TextColumn } from './native/text-column.ts'

const DOUBLES = 256

/** Fills a map column and the type letters beside it from a walk over bytes: key and value of each entry, its letter, then the row. */
export class AttributeBytes {
  readonly keys: LowCardinalityColumn
  readonly values: TextColumn
  readonly #map: MapColumn
  readonly #types: LowCardinalityColumn
  #letters = Buffer.alloc(64)
  readonly #doubles = new Float64Array(DOUBLES).fill(Number.NaN)
  readonly #doubleBits = new Int32Array(2)
  readonly #doubleView = new Float64Array(this.#doubleBits.buffer)
  readonly #doubleTexts: string[] = new Array<string>(DOUBLES).fill('NaN')

  constructor(map: MapColumn, types: LowCardinalityColumn) {
    this.keys = map.keys
    this.values = map.values
    this.#map = map
    this.#types = types
  }

  /** Formatting a double costs more than all else of an attribute, and the usual ones repeat. */
  pushDouble(value: number): void {
    this.#doubleView[0] = value
    const bits = Math.imul(this.#doubleBits[0]! ^ this.#doubleBits[1]!, 0x9e3779b1)
    const slot = (bits >>> 24) & (DOUBLES - 1)
    if (!Object.is(this.#doubles[slot], value)) {
      this.#doubles[slot] = value
      this.#doubleTexts[slot] = doubleText(value)
    }
    this.values.pushString(this.#doubleTexts[slot]!)
  }

  /** A value that is rare; returns its letter. `prefix` and the key are the path of a payload in it. */
  pushOther(key: number, value: AnyValue, prefix: string, references: ReferenceCollector): number {
    return pushValue(this.values, value, prefix, this.keys.textOf(key), references)
  }

  setLetter(place: number, letter: number): void {
    if (place === this.#letters.length) {
      this.#letters = Buffer.concat([this.#letters, Buffer.alloc(place)])
    }
    this.#letters[place] = letter
  }

  /** Ends a row of `count` entries. */
  endRow(count: number): void {
    this.#map.endRow()
    this.#types.pushBytes(this.#letters, 0, count)
  }
}
