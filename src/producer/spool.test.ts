import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Logger, silentLogger } from '../telemetry/logger.ts'
import { Spool, type SpooledRecord } from './spool.ts'
import type { NumberedRecord } from './spool-format.ts'
import { SpoolLock } from './spool-lock.ts'

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-spool-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const record = (number: number, bytes = 100): NumberedRecord => ({
  kind: number % 3 === 0 ? 'log' : 'spans',
  sid: `sid-${number}-大`,
  items: number % 3 === 0 ? 1 : 2,
  framed: Buffer.concat([Buffer.alloc(5), Buffer.alloc(bytes - 5, number)]),
  number,
})
const records = (from: number, to: number, bytes?: number) =>
  Array.from({ length: to - from }, (_, i) => record(from + i, bytes))
const asText = ({ kind, sid, items, framed }: NumberedRecord) =>
  `${kind} ${sid} ${items} ${framed.toString('hex')}`

function open(root: string, options: { maxBytes?: number; segmentBytes?: number; logger?: Logger } = {}) {
  const lost: Record<string, number> = {}
  const recovered = { spans: 0, log: 0 }
  const spool = new Spool({
    root,
    logger: silentLogger,
    onRecovered: (kind, items) => {
      recovered[kind] += items
    },
    onLost: (kind, items, reason) => {
      lost[`${reason} ${kind}`] = (lost[`${reason} ${kind}`] ?? 0) + items
    },
    ...options,
  })
  return { spool, lost, recovered }
}

async function readAll(spool: Spool): Promise<SpooledRecord[]> {
  const all: SpooledRecord[] = []
  while (spool.hasUnread) all.push(...(await spool.read()))
  return all
}

/** The segments of a root, in all its folders. */
const segmentsOf = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.spool'))
    .sort()
    .map((name) => join(root, name))

test('what one process leaves, the next one takes over, whole and in order, and then nothing is left on disk', async (t) => {
  const root = temporaryFolder(t)
  const first = open(root, { segmentBytes: 1_000 })
  for (let i = 0; i < 60; i += 7) await first.spool.append(records(i, i + 7), 0)
  await first.spool.close()
  const next = open(root)
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
  const { spool } = open(root)
  await spool.append(records(0, 3), 0)
  const read = await readAll(spool)
  for (const one of read.slice(1)) spool.settle(one.segment, one)
  await spool.close()
  const next = open(root)
  await next.spool.adopt()
  assert.equal((await readAll(next.spool)).length, 3)
  await next.spool.close()
})

test('a torn end loses the torn record alone, a changed byte only the record that it is in', async (t) => {
  const root = temporaryFolder(t)
  const first = open(root)
  await first.spool.append(records(0, 5), 0)
  await first.spool.close()
  const [path] = segmentsOf(root)
  const bytes = readFileSync(path!)
  bytes[bytes.indexOf('sid-2')] = 0x53
  writeFileSync(path!, bytes.subarray(0, bytes.length - 10))
  const next = open(root)
  await next.spool.adopt()
  const expected = [0, 1, 3].map((number) => asText(record(number)))
  assert.deepEqual((await readAll(next.spool)).map(asText), expected)
  await next.spool.close()
})

test('garbage in place of a length, a segment of nothing, and a file of somebody else stop nothing', async (t) => {
  const root = temporaryFolder(t)
  const first = open(root, { segmentBytes: 1 })
  for (const number of [1, 2, 3, 4]) await first.spool.append([record(number)], 0)
  await first.spool.close()
  const [one, two, three] = segmentsOf(root)
  appendFileSync(one!, Buffer.alloc(50, 0xff))
  writeFileSync(two!, 'not a segment')
  writeFileSync(three!, '')
  writeFileSync(join(root, 'README'), 'of somebody else')
  const next = open(root)
  await next.spool.adopt()
  assert.deepEqual((await readAll(next.spool)).map(asText), [record(1), record(4)].map(asText))
  await next.spool.close()
})

test('a segment that cannot be read, or is of another version, keeps none of the others, stays, and is told once; the folder is locked by nobody then', async (t) => {
  const root = temporaryFolder(t)
  const first = open(root, { segmentBytes: 1 })
  for (const number of [1, 2, 3, 4]) await first.spool.append([record(number)], 0)
  await first.spool.close()
  const [, two, three] = segmentsOf(root)
  rmSync(two!)
  // What cannot be read even by root.
  mkdirSync(two!)
  const bytes = readFileSync(three!)
  bytes[7] = 2
  writeFileSync(three!, bytes)
  const warnings: unknown[] = []
  const next = open(root, { logger: { ...silentLogger, warn: ({ segment }) => void warnings.push(segment) } })
  await next.spool.adopt()
  const read = await readAll(next.spool)
  assert.deepEqual(read.map(asText), [record(1), record(4)].map(asText))
  for (const one of read) next.spool.settle(one.segment, one)
  await next.spool.close()
  const again = open(root, {
    logger: { ...silentLogger, warn: ({ segment }) => void warnings.push(segment) },
  })
  await again.spool.adopt()
  await again.spool.adopt()
  assert.equal(again.spool.hasUnread, false)
  assert.deepEqual(segmentsOf(root), [two, three])
  const names = ['0000000002.spool', '0000000003.spool']
  assert.deepEqual(warnings, [...names, ...names])
  // A process of the version that wrote it.
  bytes[7] = 1
  writeFileSync(three!, bytes)
  const older = open(root)
  await older.spool.adopt()
  assert.deepEqual((await readAll(older.spool)).map(asText), [asText(record(3))])
  await older.spool.close()
  await again.spool.close()
})

test('records that go bad on disk while this process lives are counted as damaged', async (t) => {
  const root = temporaryFolder(t)
  const { spool, lost } = open(root)
  await spool.append(records(1, 3), 0)
  const [path] = segmentsOf(root)
  const bytes = readFileSync(path!)
  bytes[bytes.indexOf('sid-2')] = 0x53
  writeFileSync(path!, bytes)
  assert.deepEqual((await spool.read()).map(asText), [asText(record(1))])
  assert.deepEqual(lost, { 'spool_damaged spans': 2 })
  assert.equal(spool.items('spans'), 2)
  await spool.close()
})

test('over its limit the oldest go first, counted, and the disk never holds more than the limit', async (t) => {
  const root = temporaryFolder(t)
  const { spool, lost } = open(root, { maxBytes: 10_000, segmentBytes: 2_000 })
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

test('files are for their owner only', async (t) => {
  const root = join(temporaryFolder(t), 'made')
  const { spool } = open(root)
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
  const here = open(root)
  const beside = open(root)
  await here.spool.append([record(1)], 0)
  await beside.spool.adopt()
  await here.spool.adopt()
  assert.equal(beside.spool.hasUnread, false)
  // A look at the lock must not have released it.
  const third = open(root)
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

test('a disk that does not take a record counts none of it, and the next one is written', async (t) => {
  const root = temporaryFolder(t)
  const { spool } = open(root)
  await spool.append([record(1)], 0)
  // Stands for a full disk: the folder’s next segment cannot be made.
  const [path] = segmentsOf(root)
  const blocker = path!.replace('0000000001', '0000000002')
  writeFileSync(blocker, '')
  await spool.read()
  await assert.rejects(spool.append([record(2)], 0))
  assert.equal(spool.items('spans'), 2)
  await spool.append([record(4)], 0)
  assert.deepEqual((await readAll(spool)).map(asText), [asText(record(4))])
  await spool.close()
})

test('a folder that somebody has tidied away is made anew, and what was in it is counted as damaged', async (t) => {
  const root = temporaryFolder(t)
  const { spool, lost } = open(root, { segmentBytes: 1 })
  await spool.append([record(1)], 0)
  await spool.append([record(3)], 0)
  assert.deepEqual((await spool.read()).map(asText), [asText(record(1))])
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true })
  await assert.rejects(spool.append([record(4)], 0), { code: 'ENOENT' })
  await spool.append([record(4)], 0)
  assert.deepEqual((await readAll(spool)).map(asText), [asText(record(4))])
  assert.deepEqual(lost, { 'spool_damaged log': 1 })
  assert.deepEqual([spool.items('spans'), spool.items('log')], [4, 0])
  await spool.close()
})

test('on a file system without locks writing fails, and leaves no folders behind', async (t) => {
  const root = temporaryFolder(t)
  // Stands for a network file system whose every lock is said to be taken.
  t.mock.method(SpoolLock, 'tryTake', async () => undefined)
  const { spool } = open(root)
  await assert.rejects(spool.append([record(1)], 0), /could not be locked/)
  assert.deepEqual(readdirSync(root), [])
  assert.equal(spool.items('spans'), 0)
})
