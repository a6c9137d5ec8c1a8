import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { patchClockSteps } from './kafkajs-clock.ts'

const HOUR_MS = 3_600_000

test('metadata of a time that lies ahead, since the clock was set back, is read anew; other metadata at its age', async () => {
  assert.equal(patchClockSteps(), true)
  const require = createRequire(import.meta.url)
  const { prototype } = require('kafkajs/src/cluster/brokerPool') as { prototype: object }
  let reads = 0
  const pool = Object.assign(Object.create(prototype), {
    metadata: { topicMetadata: [{ topic: 't' }] },
    metadataMaxAge: 60_000,
    metadataExpireAt: 0,
    refreshMetadata: async () => {
      reads += 1
    },
  })
  const ask = async (expiresInMs: number): Promise<number> => {
    pool.metadataExpireAt = Date.now() + expiresInMs
    const before = reads
    await pool.refreshMetadataIfNecessary(['t'])
    return reads - before
  }
  assert.equal(await ask(30_000), 0)
  assert.equal(await ask(-30_000), 1)
  assert.equal(await ask(HOUR_MS), 1)
})
