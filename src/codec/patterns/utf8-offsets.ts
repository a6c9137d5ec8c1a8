/**
 * Where the UTF-16 code units of a decoded text lie in its bytes. A text of as many units as bytes needs no such walk: each unit is a byte there.
 * Bytes that are not UTF-8 count as the decoder takes them: one U+FFFD for each longest beginning of a character.
 */
export class Utf8Offsets {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number
  #unit = 0

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#end = end
    this.#at = start
  }

  /** First byte of the character that the unit is in. Units may only grow from call to call. */
  startOf(unit: number): number {
    while (this.#unit < unit) {
      const length = characterLength(this.#bytes, this.#at, this.#end)
      const units = length === 4 ? 2 : 1
      if (this.#unit + units > unit) break
      this.#unit += units
      this.#at += length
    }
    return this.#at
  }

  /** The byte behind the character that the unit before `unit` is in. */
  endOf(unit: number): number {
    const at = this.startOf(unit)
    return this.#unit === unit ? at : at + characterLength(this.#bytes, at, this.#end)
  }
}

/** Bytes of the character at `at`, or of what is replaced by one U+FFFD there (never 4). */
export function characterLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!
  if (lead < 0xc2 || lead > 0xf4) return 1
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  // Overlong forms, surrogates and what is beyond U+10FFFF show in the second byte.
  let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  for (let taken = 1; taken < length; taken++) {
    const next = at + taken < end ? bytes[at + taken]! : 0
    if (next < low || next > high) return taken
    low = 0x80
    high = 0xbf
  }
  return length
}
