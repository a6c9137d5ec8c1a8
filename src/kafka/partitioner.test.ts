import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { createPartitioner, murmur2, partitionFor } from './partitioner.ts'

const metadata = (count: number) =>
  Array.from({ length: count }, (_, partitionId) => ({
    partitionId,
    partitionErrorCode: 0,
    leader: 1,
    replicas: [1],
    isr: [1],
  }))

test('murmur2 gives the vectors of Kafka’s own test', () => {
  // clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java
  assert.equal(murmur2(Buffer.from('21')), -973932308)
  assert.equal(murmur2(Buffer.from('foobar')), -790332482)
  assert.equal(murmur2(Buffer.from('a-little-bit-long-string')), -985981536)
  assert.equal(murmur2(Buffer.from('a-little-bit-longer-string')), -1486304829)
  assert.equal(murmur2(Buffer.from('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8')), -58897971)
  assert.equal(murmur2(Buffer.from('abc')), 479470107)
})

test('a key goes to the partition that kafkajs’s Java-compatible partitioner chooses', () => {
  const theirs = Partitioners.DefaultPartitioner()
  const ours = createPartitioner()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 200 }), (bytes, count) => {
      const message = { key: Buffer.from(bytes), value: null }
      const expected = theirs({ topic: 't', partitionMetadata: metadata(count), message })
      assert.equal(partitionFor(bytes, count), expected)
      assert.equal(ours({ topic: 't', partitionMetadata: metadata(count), message }), expected)
    }),
    { numRuns: 2_000 },
  )
})

test('an explicit partition that the metadata lacks is an error which makes kafkajs refresh, not a lost message', () => {
  const ours = createPartitioner()
  const message = { value: null, partition: 3 }
  assert.equal(ours({ topic: 't', partitionMetadata: metadata(4), message }), 3)
  assert.throws(() => ours({ topic: 't', partitionMetadata: metadata(3), message }), {
    name: 'KafkaJSMetadataNotLoaded',
    retriable: true,
  })
})
