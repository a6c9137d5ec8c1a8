import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { COUNT, makeSids } from './sid-threads.testing.ts'

const SCRIPT = fileURLToPath(new URL('sid-threads.testing.ts', import.meta.url))
const WORKERS = 4

test('worker threads and the main thread of one process make distinct SIDs', async () => {
  const workers = Array.from({ length: WORKERS }, () => new Worker(SCRIPT))
  const ofWorkers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  assertDistinct([makeSids(), ...ofWorkers])
})

test('cluster processes and their primary make distinct SIDs', async () => {
  cluster.setupPrimary({ exec: SCRIPT, args: [], execArgv: [] })
  const workers = Array.from({ length: WORKERS }, () => cluster.fork())
  const ofWorkers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  assertDistinct([makeSids(), ...ofWorkers])
})

function assertDistinct(lists: string[][]): void {
  for (const list of lists) assert.equal(list.length, COUNT)
  assert.equal(new Set(lists.flat()).size, COUNT * lists.length)
}
