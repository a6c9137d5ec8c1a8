import { SiderealError } from '../model/errors.ts'

/** Position of the Avro value in a framed record. */
export const BODY_START = 5

const MAGIC = 0

/**
 * Puts an Avro value into the Confluent wire format: 0x00, the schema id as a big-endian uint32, the value.
 * @param schemaId id that the schema registry gave to the writer schema
 */
export function frame(schemaId: number, body: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(BODY_START + body.length)
  writeFrameHeader(framed, schemaId)
  framed.set(body, BODY_START)
  return framed
}

/** Writes the five bytes that precede the Avro value. */
export function writeFrameHeader(target: Buffer, schemaId: number): void {
  if (!Number.isInteger(schemaId) || schemaId < 0 || schemaId > 0xffffffff) {
    throw new SiderealError(
      'SIDEREAL_RECORD_INVALID',
      `schema id ${schemaId} is not an unsigned 32-bit integer`,
    )
  }
  target[0] = MAGIC
  target.writeUInt32BE(schemaId, 1)
}

/**
 * Schema id of a framed record; the Avro value starts at {@link BODY_START}.
 * @throws SiderealError `SIDEREAL_RECORD_INVALID` when the bytes are not in the Confluent wire format
 */
export function readFrame(framed: Uint8Array): number {
  if (framed.length < BODY_START) {
    throw new SiderealError(
      'SIDEREAL_RECORD_INVALID',
      `a record of ${framed.length} bytes is shorter than the ${BODY_START} bytes of the Confluent wire format`,
    )
  }
  if (framed[0] !== MAGIC) {
    throw new SiderealError(
      'SIDEREAL_RECORD_INVALID',
      `the record starts with byte ${framed[0]}, the Confluent wire format with 0: is the producer using the schema registry?`,
    )
  }
  return ((framed[1]! << 24) | (framed[2]! << 16) | (framed[3]! << 8) | framed[4]!) >>> 0
}
