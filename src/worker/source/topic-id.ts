import { createRequire } from 'node:module'

const METADATA_API = 3
/** The first version of Metadata that tells topic ids; Kafka 2.8 has it. */
const VERSION = 10
const ID_BYTES = 16

/** What kafkajs's private encoder and decoder can do, as far as it is used here. */
interface Encoder {
  writeInt8(value: number): Encoder
  writeBoolean(value: boolean): Encoder
  writeUVarInt(value: number): Encoder
  writeUVarIntString(value: string): Encoder
  writeBufferInternal(value: Buffer): void
}

interface Decoder {
  readInt16(): number
  readInt32(): number
  readBytes(length: number): Buffer
  readUVarInt(): number
  readUVarIntString(): string | null
}

/** What kafkajs's broker object can do for a request that kafkajs does not know. */
export interface AskableBroker {
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null
  readonly connectionPool: { send(request: object): Promise<string | undefined> }
}

/**
 * The id that Kafka gave a topic when it was created, in hexadecimal: another topic of the same name has another one. Undefined where it is not
 * known: no such topic at present, or a broker without topic ids. kafkajs speaks an older version of Metadata, hence by hand.
 */
export async function readTopicId(broker: AskableBroker, topic: string): Promise<string | undefined> {
  const offered = broker.versions?.[METADATA_API]?.maxVersion ?? 0
  if (offered < VERSION) return undefined
  const request = {
    apiKey: METADATA_API,
    apiVersion: VERSION,
    apiName: 'Metadata',
    encode: async () => encodeRequest(topic),
  }
  const response = {
    decode: async (bytes: Buffer) => ({ topicId: decodeResponse(bytes) }),
    parse: async ({ topicId }: { topicId: string | undefined }) => topicId,
  }
  return await broker.connectionPool.send({ request, response })
}

function encodeRequest(topic: string): Encoder {
  const encoder = newEncoder()
  // The end of the header, which kafkajs writes in the form of before: it has no tagged fields.
  encoder.writeInt8(0)
  encoder.writeUVarInt(1 + 1)
  encoder.writeBufferInternal(Buffer.alloc(ID_BYTES))
  encoder.writeUVarIntString(topic).writeInt8(0)
  // Do not create it, and tell nothing of who may do what; no tagged fields.
  return encoder.writeBoolean(false).writeBoolean(false).writeBoolean(false).writeInt8(0)
}

function decodeResponse(bytes: Buffer): string | undefined {
  const decoder = newDecoder(bytes)
  skipTags(decoder)
  decoder.readInt32() // throttle time
  for (let brokers = decoder.readUVarInt() - 1; brokers > 0; brokers--) {
    decoder.readInt32() // node
    decoder.readUVarIntString() // host
    decoder.readInt32() // port
    decoder.readUVarIntString() // rack
    skipTags(decoder)
  }
  decoder.readUVarIntString() // cluster
  decoder.readInt32() // controller
  if (decoder.readUVarInt() - 1 < 1 || decoder.readInt16() !== 0) return undefined
  decoder.readUVarIntString() // name
  const id = decoder.readBytes(ID_BYTES)
  return id.some((byte) => byte !== 0) ? id.toString('hex') : undefined
}

function skipTags(decoder: Decoder): void {
  for (let tags = decoder.readUVarInt(); tags > 0; tags--) {
    decoder.readUVarInt()
    decoder.readBytes(decoder.readUVarInt())
  }
}

function newEncoder(): Encoder {
  return new (createRequire(import.meta.url)('kafkajs/src/protocol/encoder') as new () => Encoder)()
}

function newDecoder(bytes: Buffer): Decoder {
  const Decoder = createRequire(import.meta.url)('kafkajs/src/protocol/decoder')
  return new (Decoder as new (bytes: Buffer) => Decoder)(bytes)
}
