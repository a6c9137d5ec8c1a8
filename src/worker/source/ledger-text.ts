/**
 * Bytes as text for a commit's metadata string. Apache Kafka limits its UTF-16 units, so 14 bits go into each character;
 * where the broker counts bytes, base64 is the best that text can do.
 */

const FIRST = 0x4e00
const BITS = 14

/** 14 bits a character, U+4E00 to U+8DFF. */
export function packBytes(bytes: Uint8Array): string {
  const units = new Uint16Array(Math.ceil((bytes.length * 8) / BITS))
  let held = 0
  let heldBits = 0
  let at = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    heldBits += 8
    if (heldBits >= BITS) {
      heldBits -= BITS
      units[at++] = FIRST + (held >>> heldBits)
      held &= (1 << heldBits) - 1
    }
  }
  if (heldBits > 0) units[at] = FIRST + (held << (BITS - heldBits))
  return Buffer.from(units.buffer).toString('utf16le')
}

/** The inverse of {@link packBytes}; `length` is the number of bytes. Undefined when the text holds any other character or is too short. */
export function unpackBytes(text: string, length: number): Uint8Array | undefined {
  if (length < 0 || text.length !== Math.ceil((length * 8) / BITS)) return undefined
  const bytes = new Uint8Array(length)
  let held = 0
  let heldBits = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const value = text.charCodeAt(i) - FIRST
    if (value < 0 || value >= 1 << BITS) return undefined
    held = (held << BITS) | value
    heldBits += BITS
    while (heldBits >= 8 && at < length) {
      heldBits -= 8
      bytes[at++] = held >>> heldBits
      held &= (1 << heldBits) - 1
    }
    if (at === length) break
  }
  return bytes
}

/** How many bytes fit into so many characters. */
export function packedCapacity(characters: number): number {
  return Math.max(0, Math.floor((characters * BITS) / 8))
}

export function base64Capacity(characters: number): number {
  return Math.max(0, Math.floor((characters * 6) / 8))
}
