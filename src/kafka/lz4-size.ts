const FRAME_MAGIC = 0x184d2204
/** 16 magic numbers: frames that a reader leaves out. */
const SKIPPABLE_MAGIC = 0x184d2a50
const [HAS_BLOCK_CHECKSUMS, HAS_CONTENT_SIZE, HAS_CONTENT_CHECKSUM, HAS_DICTIONARY] = [0x10, 0x08, 0x04, 0x01]
const UNPACKED_BLOCK = 0x8000_0000

/**
 * How many bytes LZ4 frames unpack to, found by reading the lengths alone: the library that unpacks takes no limit, and the size that
 * a frame states in front may be a lie. Stops beyond `maxBytes`: any greater result means "more". The library judges the content itself.
 *
 * Format: LZ4 frame format 1.6 and LZ4 block format of the lz4 project.
 * @throws RangeError when it is no LZ4 frame, or cut
 */
export function lz4UnpackedBytes(input: Buffer, maxBytes: number): number {
  let total = 0
  let at = 0
  while (at < input.length && total <= maxBytes) {
    const magic = input.readUInt32LE(at)
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8 + input.readUInt32LE(at + 4)
      continue
    }
    if (magic !== FRAME_MAGIC) throw new RangeError('no lz4 frame')
    const flags = input.readUInt8(at + 4)
    // Magic, flags, block size; content size and dictionary id where they are; header checksum.
    at += 6 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & HAS_DICTIONARY) === 0 ? 0 : 4) + 1
    const blockEnd = (flags & HAS_BLOCK_CHECKSUMS) === 0 ? 0 : 4
    for (;;) {
      const header = input.readUInt32LE(at)
      at += 4
      if (header === 0) break
      const size = (header & ~UNPACKED_BLOCK) >>> 0
      if (size > input.length - at) throw new RangeError('lz4 frame ends inside a block')
      total += header >= UNPACKED_BLOCK ? size : blockUnpackedBytes(input, at, at + size)
      if (total > maxBytes) return total
      at += size + blockEnd
    }
    if ((flags & HAS_CONTENT_CHECKSUM) !== 0) at += 4
  }
  return total
}

/** Sums literals and matches of each sequence. A block that is damaged gives some number; unpacking it then fails. */
function blockUnpackedBytes(input: Buffer, start: number, end: number): number {
  let total = 0
  let at = start
  while (at < end) {
    const token = input[at++]!
    let literals = token >>> 4
    if (literals === 15) {
      let byte = 255
      while (byte === 255 && at < end) {
        byte = input[at++]!
        literals += byte
      }
    }
    total += literals
    at += literals
    // The last sequence has literals only.
    if (at >= end) break
    at += 2
    let match = (token & 15) + 4
    if ((token & 15) === 15) {
      let byte = 255
      while (byte === 255 && at < end) {
        byte = input[at++]!
        match += byte
      }
    }
    total += match
  }
  return total
}
