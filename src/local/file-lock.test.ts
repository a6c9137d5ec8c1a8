import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { withFileLock } from './file-lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'sidereal-lock-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('two pieces of work under one lock never run at once', async () => {
  const path = join(folder, 'a.lock')
  let running = 0
  let most = 0
  const work = () =>
    withFileLock(path, async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
    })
  await Promise.all([work(), work(), work()])
  assert.equal(most, 1)
  assert.equal(existsSync(path), false)
})

test('a lock of a dead process is taken over', async () => {
  const path = join(folder, 'b.lock')
  const dead = spawnSync('true').pid
  writeFileSync(path, String(dead))
  assert.equal(await withFileLock(path, async () => 'done'), 'done')
})

test('work that fails gives the lock back', async () => {
  const path = join(folder, 'c.lock')
  await assert.rejects(
    withFileLock(path, async () => {
      throw new Error('no')
    }),
    /no/,
  )
  assert.equal(existsSync(path), false)
})
