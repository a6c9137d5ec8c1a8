import type { ICustomPartitioner, PartitionerArgs } from 'kafkajs'

const SEED = 0x9747b28c
const M = 0x5bd1e995

/**
 * Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`): the signed 32-bit hash that the Java client partitions by.
 * kafkajs's own is written on BigInt and takes a hundred times as long.
 */
export function murmur2(key: Uint8Array): number {
  const length = key.length
  let hash = SEED ^ length
  const blocksEnd = length & ~3
  for (let i = 0; i < blocksEnd; i += 4) {
    let block = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    block = Math.imul(block, M)
    block ^= block >>> 24
    block = Math.imul(block, M)
    hash = Math.imul(hash, M) ^ block
  }
  const rest = length & 3
  if (rest === 3) hash ^= key[blocksEnd + 2]! << 16
  if (rest >= 2) hash ^= key[blocksEnd + 1]! << 8
  if (rest >= 1) {
    hash ^= key[blocksEnd]!
    hash = Math.imul(hash, M)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  hash ^= hash >>> 15
  return hash | 0
}

/** The partition of a key, as the Java client chooses it: `toPositive(murmur2(key)) % partitions`. */
export function partitionFor(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/**
 * A kafkajs partitioner built of {@link partitionFor}. A message with an explicit partition keeps it, and unlike kafkajs's own it refuses
 * one that the client's metadata does not know yet: kafkajs drops such a message and reports success
 * (partitions were added); the error makes it read the metadata anew and try again.
 */
export const createPartitioner: ICustomPartitioner = () => {
  let next = 0
  return ({ topic, partitionMetadata, message }: PartitionerArgs): number => {
    const count = partitionMetadata.length
    if (message.partition !== undefined && message.partition !== null) {
      const wanted = message.partition
      if (!partitionMetadata.some(({ partitionId }) => partitionId === wanted)) {
        throw new UnknownPartition(`partition ${wanted} of ${topic} is not in the metadata yet`)
      }
      return wanted
    }
    if (message.key === null || message.key === undefined) {
      next = (next + 1) % count
      return next
    }
    return partitionFor(typeof message.key === 'string' ? Buffer.from(message.key) : message.key, count)
  }
}

/** kafkajs goes by the name: this one makes it refresh its metadata, and retry. */
class UnknownPartition extends Error {
  override readonly name = 'KafkaJSMetadataNotLoaded'
  readonly retriable = true
}
