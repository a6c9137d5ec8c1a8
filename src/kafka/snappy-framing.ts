import { compress, uncompress } from 'snappy'
import { UnpackedTooLarge } from './unpack-budget.ts'

/** The xerial stream header (`org.xerial.snappy.SnappyCodec`): magic, version 1, compatible with 1. */
const HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1])
const MAGIC = HEADER.subarray(0, 8)
/** Block size of the Java client. */
const BLOCK_BYTES = 32 * 1024

/** Packs as the Java client does: the xerial header, then blocks of at most 32 KiB, each after its length. */
export async function encodeSnappy(input: Buffer): Promise<Buffer> {
  const parts: Buffer[] = [HEADER]
  for (let start = 0; start < input.length; start += BLOCK_BYTES) {
    const block = await compress(input.subarray(start, start + BLOCK_BYTES))
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

/** Unpacks both forms that Kafka clients write: xerial framing (Java; streams may follow one another) and one raw block (librdkafka, Go). */
export async function decodeSnappy(input: Buffer, maxBytes: number): Promise<Buffer> {
  if (!startsWithMagic(input, 0)) {
    if (rawLength(input) > maxBytes) throw new UnpackedTooLarge('snappy block unpacks to more than the limit')
    return unpack(input)
  }
  const blocks: Buffer[] = []
  let total = 0
  let position = 0
  while (position < input.length) {
    if (startsWithMagic(input, position)) {
      position += HEADER.length
      continue
    }
    if (position + 4 > input.length) throw new RangeError('snappy stream ends inside a block length')
    const length = input.readUInt32BE(position)
    const start = position + 4
    if (length > input.length - start) throw new RangeError('snappy stream ends inside a block')
    const block = input.subarray(start, start + length)
    total += rawLength(block)
    if (total > maxBytes) throw new UnpackedTooLarge('snappy stream unpacks to more than the limit')
    blocks.push(await unpack(block))
    position = start + length
  }
  return Buffer.concat(blocks)
}

function startsWithMagic(input: Buffer, position: number): boolean {
  return (
    input.length - position >= HEADER.length &&
    input.compare(MAGIC, 0, MAGIC.length, position, position + MAGIC.length) === 0
  )
}

/** The unpacked length that a raw block states in front (a varint). */
function rawLength(block: Buffer): number {
  let length = 0
  for (let i = 0; i < 5 && i < block.length; i++) {
    length += (block[i]! & 0x7f) * 2 ** (7 * i)
    if (block[i]! < 0x80) return length
  }
  throw new RangeError('snappy block without a length')
}

async function unpack(block: Buffer): Promise<Buffer> {
  const output = await uncompress(block, { asBuffer: true })
  return typeof output === 'string' ? Buffer.from(output, 'utf8') : output
}
