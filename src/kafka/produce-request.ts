import { type Compression, compressBatch, compressionType } from './codecs.ts'
import { requireKafkajs } from './kafkajs-internals.ts'
import { type BatchRecord, recordsSize, writeBatchHeader, writeRecords } from './record-batch.ts'
import { BATCH_HEADER_BYTES } from './record-batch-layout.ts'

/** Of this copy of the module: a second one in the process has a `BatchMessage` of its own, which only its own patch knows. */
const patched = Symbol('sidereal.kafkajs.produce')
/** Version of Produce from which on record batches have the form that is written here: Kafka 0.11. */
const MIN_VERSION = 3
/** Memory for the records of a request is kept up to this. */
const MAX_KEPT_BYTES = 2 * 1024 * 1024

// Sizes of the request's fields before topic and batches.
const HEAD_BYTES = 2 + 2 + 4 + 4
const PARTITION_BYTES = 4 + 4

/** The records of one partition in the place of one kafkajs message: kafkajs looks at the partition, and we write the bytes. */
export class BatchMessage {
  readonly key = null
  readonly value = null
  readonly partition: number
  readonly records: readonly BatchRecord[]
  readonly encoder: ProduceEncoder

  constructor(partition: number, records: readonly BatchRecord[], encoder: ProduceEncoder) {
    this.partition = partition
    this.records = records
    this.encoder = encoder
  }
}

/** The arguments of kafkajs's Produce request that are read here. */
interface ProduceArguments {
  readonly acks: number
  readonly timeout: number
  readonly topicData: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly messages: readonly unknown[] }[]
  }[]
}

interface Section {
  readonly partition: number
  readonly count: number
  readonly bytes: Buffer
}

/** Writes the body of Produce requests: each byte once before compression and once after it, and no object for a record. */
export class ProduceEncoder {
  readonly #compression: Compression
  /** For records before compression; away while a request that needs it is being written. */
  #spare: Buffer | undefined

  constructor(compression: Compression) {
    this.#compression = compression
  }

  /** The body of one request for one topic. */
  async encode(
    topic: string,
    batches: readonly BatchMessage[],
    { acks, timeout }: { acks: number; timeout: number },
  ): Promise<Buffer> {
    let records = 0
    for (const batch of batches) records += recordsSize(batch.records)
    const scratch = this.#takeScratch(records)
    const sections: Section[] = []
    let at = 0
    for (const batch of batches) {
      const end = writeRecords(scratch, at, batch.records)
      const packed = compressBatch(this.#compression, scratch.subarray(at, end))
      // Only what the thread pool packs is waited for.
      const bytes = packed instanceof Promise ? await packed : packed
      sections.push({ partition: batch.partition, count: batch.records.length, bytes })
      at = end
    }
    const body = this.#body(topic, sections, acks, timeout)
    if (scratch.length <= MAX_KEPT_BYTES) this.#spare = scratch
    return body
  }

  #body(topic: string, sections: readonly Section[], acks: number, timeout: number): Buffer {
    const topicBytes = Buffer.byteLength(topic)
    let size = HEAD_BYTES + 2 + topicBytes + 4
    for (const { bytes } of sections) size += PARTITION_BYTES + BATCH_HEADER_BYTES + bytes.length
    const body = Buffer.allocUnsafe(size)
    const nowMs = Date.now()
    const codec = compressionType(this.#compression)
    // No transaction.
    let at = body.writeInt16BE(-1)
    at = body.writeInt16BE(acks, at)
    at = body.writeInt32BE(timeout, at)
    at = body.writeInt32BE(1, at)
    at = body.writeInt16BE(topicBytes, at)
    at += body.write(topic, at)
    at = body.writeInt32BE(sections.length, at)
    for (const { partition, count, bytes } of sections) {
      at = body.writeInt32BE(partition, at)
      at = body.writeInt32BE(BATCH_HEADER_BYTES + bytes.length, at)
      const end = at + BATCH_HEADER_BYTES + bytes.length
      body.set(bytes, at + BATCH_HEADER_BYTES)
      writeBatchHeader(body, at, { codec, count, end, nowMs })
      at = end
    }
    return body
  }

  #takeScratch(bytes: number): Buffer {
    const spare = this.#spare
    if (spare === undefined || spare.length < bytes) return Buffer.allocUnsafeSlow(Math.max(bytes, 64 * 1024))
    this.#spare = undefined
    return spare
  }
}

interface Protocol {
  readonly request: object
  readonly response: unknown
}
type MakeRequest = (args: ProduceArguments) => Protocol

/** The part of kafkajs's private module of Produce requests that the patch touches. */
export interface ProduceRequests {
  protocol(options: { version: number }): MakeRequest
  [patched]?: boolean
}

/**
 * Makes kafkajs send a {@link BatchMessage} as the bytes that its encoder writes; other messages, of whoever, go as before. kafkajs 2.2.4 itself makes a
 * buffer for each field of each record, and reckons the checksum byte by byte. Returns false, and leaves kafkajs alone, when its version is another one:
 * then messages must be kafkajs's own.
 */
export function patchProduce(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const requests = require('kafkajs/src/protocol/requests/produce') as ProduceRequests
  if (requests[patched]) return true
  const { protocol } = requests
  if (typeof protocol !== 'function') return false
  requests.protocol = (options) => {
    const make = protocol(options)
    return (args) => {
      const made = make(args)
      const [data, ...others] = args.topicData
      const messages = data?.partitions.flatMap((partition) => partition.messages) ?? []
      const batches = messages.filter((message) => message instanceof BatchMessage)
      if (data === undefined || batches.length === 0) return made
      if (options.version < MIN_VERSION || others.length > 0 || batches.length !== messages.length)
        throw new Error('this Kafka is older than 0.11, which is too old')
      const encode = async () => {
        const body = await batches[0]!.encoder.encode(data.topic, batches, args)
        // As much of kafkajs's encoder as is asked for.
        return { buf: body, buffer: body }
      }
      return { ...made, request: { ...made.request, encode } }
    }
  }
  requests[patched] = true
  return true
}
