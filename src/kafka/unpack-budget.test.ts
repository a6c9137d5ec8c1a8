import assert from 'node:assert/strict'
import { test } from 'node:test'
import kafkajs from 'kafkajs'
import { registerCodecs } from './codecs.ts'
import { UnpackBudget, UnpackedTooLarge, withUnpackBudget } from './unpack-budget.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const CODECS = [
  CompressionTypes.GZIP,
  CompressionTypes.Snappy,
  CompressionTypes.LZ4,
  CompressionTypes.ZSTD,
] as const
const BATCH_BYTES = 300_000
const BATCH = Buffer.alloc(BATCH_BYTES, 'again and again ')

registerCodecs()

function budgetOf(maxBytes: number, maxBatchBytes = maxBytes): UnpackBudget {
  return new UnpackBudget({ maxBytes, maxBatchBytes, expectedRatio: 2 })
}

test('beyond the budget a fetch ends as if the broker had cut it, whatever the codec and however the sizes lie', async () => {
  for (const type of CODECS) {
    const codec = CompressionCodecs[type]()
    const packed: Buffer = await codec.compress({ buffer: BATCH })
    for (const maxBytes of [BATCH_BYTES * 2 - 1, BATCH_BYTES, 1]) {
      const budget = budgetOf(maxBytes, 2 * BATCH_BYTES)
      await withUnpackBudget(budget, async () => {
        assert.equal((await codec.decompress(packed)).length, BATCH_BYTES)
        await assert.rejects(codec.decompress(packed), { name: 'KafkaJSPartialMessageError' })
      })
      assert.ok(budget.isCut)
      assert.equal(budget.unpackedBytes, BATCH_BYTES)
    }
  }
})

test('the first batch of a fetch is unpacked up to a limit of its own, and no further', async () => {
  for (const type of CODECS) {
    const codec = CompressionCodecs[type]()
    const packed: Buffer = await codec.compress({ buffer: BATCH })
    const unpack = (maxBatchBytes: number): Promise<Buffer> =>
      withUnpackBudget(budgetOf(1, maxBatchBytes), () => codec.decompress(packed))
    assert.deepEqual(Buffer.from(await unpack(BATCH_BYTES)), BATCH)
    await assert.rejects(unpack(BATCH_BYTES / 2), UnpackedTooLarge)
  }
})

test('what is given back is gone at once, and nothing else with it', async () => {
  for (const type of CODECS) {
    const codec = CompressionCodecs[type]()
    const large: Buffer = await codec.compress({ buffer: BATCH })
    const small: Buffer = await codec.compress({ buffer: Buffer.from('small') })
    const budget = budgetOf(10 * BATCH_BYTES)
    const bystander = Buffer.from('of the same pool')
    const outputs = await withUnpackBudget(budget, async () => [
      await codec.decompress(small),
      await codec.decompress(large),
    ])
    budget.release()
    assert.equal(outputs[1]!.length, 0, `codec ${type}`)
    assert.equal(bystander.toString(), 'of the same pool')
    assert.equal((await codec.decompress(large)).length, BATCH_BYTES)
  }
})
