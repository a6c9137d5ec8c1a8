import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { asText, openSpool, readAll, record, records, segmentsOf, temporaryFolder } from './spool.testing.ts'

test('what one process leaves, the next one takes over, whole and in order, and then nothing is left on disk', async (t) => {
  const root = temporaryFolder(t)
  const first = openSpool(root, { segmentBytes: 1_000 })
  for (let i = 0; i < 60; i += 7) await first.spool.append(records(i, i + 7), 0)
  await first.spool.close()
  const next = openSpool(root)
  await next.spool.adopt()
  assert.deepEqual(next.recovered, { spans: 84, log: 21 })
  assert.deepEqual([next.spool.items('spans'), next.spool.items('log')], [84, 21])
  const read = await readAll(next.spool)
  assert.deepEqual(read.map(asText), records(0, 63).map(asText))
  assert.ok(read.every(({ number }, i) => number < 0 && (i === 0 || number > read[i - 1]!.number)))
  for (const one of read) next.spool.settle(one.segment, one)
  await next.spool.close()
  assert.deepEqual(readdirSync(root), [])
})

test('a segment stays until its last record is settled, whichever that is', async (t) => {
  const root = temporaryFolder(t)
  const { spool } = openSpool(root)
  await spool.append(records(0, 3), 0)
  const read = await readAll(spool)
  for (const one of read.slice(1)) spool.settle(one.segment, one)
  await spool.close()
  const next = openSpool(root)
  await next.spool.adopt()
  assert.equal((await readAll(next.spool)).length, 3)
  await next.spool.close()
})

test('over its limit the oldest go first, counted, and the disk never holds more than the limit', async (t) => {
  const root = temporaryFolder(t)
  const { spool, lost } = openSpool(root, { maxBytes: 10_000, segmentBytes: 2_000 })
  for (let number = 1; number <= 100; number++) {
    await spool.append([record(number, 500)], 0)
    assert.ok(segmentsOf(root).reduce((sum, path) => sum + statSync(path).size, 0) <= 10_000)
  }
  const read = await readAll(spool)
  const kept = read.map(({ number }) => number)
  assert.ok(kept.length > 10 && kept.length < 20)
  assert.deepEqual(
    kept,
    Array.from({ length: kept.length }, (_, i) => 101 - kept.length + i),
  )
  const gone = records(1, 101 - kept.length)
  for (const kind of ['spans', 'log'] as const) {
    const items = gone.filter((one) => one.kind === kind).reduce((sum, one) => sum + one.items, 0)
    assert.equal(lost[`spool_full ${kind}`], items)
  }
  await spool.close()
})

test('what other processes have left is taken over as far as there is room, and the rest by others, or once there is: nothing is pushed out for it', async (t) => {
  const root = temporaryFolder(t)
  const sidsOf = (list: readonly { sid: string }[]) => list.map(({ sid }) => sid)
  const left = records(0, 30, 500)
  for (const from of [0, 10, 20]) {
    const { spool } = openSpool(root)
    await spool.append(left.slice(from, from + 10), 0)
    await spool.close()
  }
  const next = openSpool(root, { maxBytes: 12_000 })
  await next.spool.adopt()
  const first = await readAll(next.spool)
  // More than it may have, but it lies there already.
  const beside = openSpool(root, { maxBytes: 1 })
  await beside.spool.adopt()
  const second = await readAll(beside.spool)
  assert.deepEqual([first.length, second.length], [20, 10])
  assert.deepEqual(new Set(sidsOf([...first, ...second])), new Set(sidsOf(left)))
  assert.deepEqual([next.lost, beside.lost], [{}, {}])
  for (const { spool } of [beside, next]) await spool.close()

  const last = openSpool(root, { maxBytes: 6_500 })
  const sids: string[] = []
  for (let turn = 1; turn <= 3; turn++) {
    await last.spool.adopt()
    const some = await readAll(last.spool)
    sids.push(...sidsOf(some))
    assert.equal(sids.length, turn * 10)
    for (const one of some) last.spool.settle(one.segment, one)
  }
  await last.spool.close()
  assert.deepEqual(new Set(sids), new Set(sidsOf(left)))
  assert.deepEqual([readdirSync(root), last.lost], [[], {}])
})

test('files are for their owner only', async (t) => {
  const root = join(temporaryFolder(t), 'made')
  const { spool } = openSpool(root)
  await spool.append([record(1)], 0)
  const [path] = segmentsOf(root)
  assert.equal(statSync(path!).mode & 0o777, 0o600)
  assert.equal(statSync(join(path!, '..')).mode & 0o777, 0o700)
  await spool.close()
})

test('two spools of one root never share a folder, in one process or in two; a killed owner’s goes to one other', async (t) => {
  const root = temporaryFolder(t)
  const script = `
    import { Spool } from ${JSON.stringify(new URL('./spool.ts', import.meta.url).href)}
    const ignore = () => undefined
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
    const spool = new Spool({ root: ${JSON.stringify(root)}, logger, onRecovered: ignore, onLost: ignore })
    const framed = Buffer.alloc(50)
    await spool.append([{ kind: 'spans', sid: 'of the other process', items: 1, framed, number: 0 }], 0)
    console.log('written')
    setInterval(() => undefined, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => owner.kill('SIGKILL'))
  await once(owner.stdout, 'data')
  const here = openSpool(root)
  const beside = openSpool(root)
  await here.spool.append([record(1)], 0)
  await beside.spool.adopt()
  await here.spool.adopt()
  assert.equal(beside.spool.hasUnread, false)
  // A look at the lock must not have released it.
  const third = openSpool(root)
  await third.spool.adopt()
  assert.deepEqual(third.recovered, { spans: 0, log: 0 })

  owner.kill('SIGKILL')
  await once(owner, 'exit')
  await Promise.all([beside.spool.adopt(), third.spool.adopt(), here.spool.adopt()])
  const sids = []
  for (const { spool } of [beside, third]) for (const { sid } of await readAll(spool)) sids.push(sid)
  for (const { sid } of await readAll(here.spool)) sids.push(sid)
  assert.deepEqual(sids.sort(), ['of the other process', record(1).sid])
  for (const { spool } of [here, beside, third]) await spool.close()
})

test('nor do those of two threads, and what a thread leaves that is ended goes to another', async (t) => {
  const root = temporaryFolder(t)
  const code = `
    const { parentPort } = require('node:worker_threads')
    const ignore = () => undefined
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
    const append = async () => {
      const { Spool } = await import(${JSON.stringify(new URL('./spool.ts', import.meta.url).href)})
      globalThis.spool = new Spool({ root: ${JSON.stringify(root)}, logger, onRecovered: ignore, onLost: ignore })
      const framed = Buffer.alloc(50)
      await globalThis.spool.append([{ kind: 'spans', sid: 'of the thread', items: 1, framed, number: 0 }], 0)
      parentPort.postMessage('written')
    }
    append()
    parentPort.on('message', ignore)`
  const thread = new Worker(code, { eval: true })
  t.after(() => thread.terminate())
  await once(thread, 'message')
  const here = openSpool(root)
  await here.spool.append([record(1)], 0)
  await here.spool.adopt()
  assert.deepEqual(here.recovered, { spans: 0, log: 0 })
  await thread.terminate()
  await here.spool.adopt()
  assert.deepEqual(here.recovered, { spans: 1, log: 0 })
  assert.deepEqual((await readAll(here.spool)).map(({ sid }) => sid).sort(), ['of the thread', record(1).sid])
  await here.spool.close()
})

test('a folder that is named relatively stays the same when the service changes its own', async (t) => {
  const root = temporaryFolder(t)
  const cwd = process.cwd()
  t.after(() => process.chdir(cwd))
  process.chdir(root)
  const { spool } = openSpool('spool', { segmentBytes: 1 })
  await spool.append([record(1)], 0)
  process.chdir(cwd)
  await spool.append([record(2)], 0)
  assert.equal(segmentsOf(join(root, 'spool')).length, 2)
  assert.deepEqual((await readAll(spool)).map(asText), [record(1), record(2)].map(asText))
  await spool.close()
})
