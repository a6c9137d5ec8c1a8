const MAGIC = 0x184d2204
const UNCOMPRESSED = 0x8000_0000
const HAS_BLOCK_CHECKSUM = 0x10
const HAS_CONTENT_SIZE = 0x08
const HAS_CONTENT_CHECKSUM = 0x04
const HAS_DICTIONARY = 0x01
/** Largest block by its code in the descriptor: 64 KB, 256 KB, 1 MB, 4 MB. */
const FIRST_BLOCK_CODE = 4
const LAST_BLOCK_CODE = 7

/**
 * The most that LZ4 frames can unpack to, from their blocks alone: no more than one block per frame too much. The library has no limit
 * of its own. What is not a frame counts as nothing, and is left to the library to refuse.
 */
export function maxLz4Bytes(input: Buffer): number {
  let total = 0
  let position = 0
  while (position + 7 <= input.length && input.readUInt32LE(position) === MAGIC) {
    const flags = input[position + 4]!
    const blockCode = (input[position + 5]! >>> 4) & 7
    if (blockCode < FIRST_BLOCK_CODE || blockCode > LAST_BLOCK_CODE) return total
    const blockBytes = 1 << (8 + 2 * blockCode)
    position += 7 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & HAS_DICTIONARY) === 0 ? 0 : 4)
    for (;;) {
      if (position + 4 > input.length) return total
      const word = input.readUInt32LE(position)
      position += 4
      if (word === 0) break
      const isPlain = word >= UNCOMPRESSED
      const length = isPlain ? word - UNCOMPRESSED : word
      // LZ4 packs to a 255th at best: a tiny last block is not charged as a full one.
      total += isPlain ? length : Math.min(blockBytes, length * 255)
      position += length + ((flags & HAS_BLOCK_CHECKSUM) === 0 ? 0 : 4)
    }
    position += (flags & HAS_CONTENT_CHECKSUM) === 0 ? 0 : 4
  }
  return total
}
