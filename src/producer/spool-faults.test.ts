import assert from 'node:assert/strict'
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '../telemetry/logger.ts'
import {
  asText,
  openSpool,
  readAll,
  record,
  records,
  segmentsOf,
  temporaryFolder,
  writeSegments,
} from './spool.testing.ts'
import { SpoolLock } from './spool-lock.ts'

test('a torn end loses the torn record alone, a changed byte only the record that it is in', async (t) => {
  const root = temporaryFolder(t)
  const first = openSpool(root)
  await first.spool.append(records(0, 5), 0)
  await first.spool.close()
  const [path] = segmentsOf(root)
  const bytes = readFileSync(path!)
  bytes[bytes.indexOf('sid-2')] = 0x53
  writeFileSync(path!, bytes.subarray(0, bytes.length - 10))
  const next = openSpool(root)
  await next.spool.adopt()
  const expected = [0, 1, 3].map((number) => asText(record(number)))
  assert.deepEqual((await readAll(next.spool)).map(asText), expected)
  await next.spool.close()
})

test('garbage in place of a length, a segment of nothing, and a file of somebody else stop nothing', async (t) => {
  const root = temporaryFolder(t)
  const [one, two, three] = await writeSegments(root, [1, 2, 3, 4])
  appendFileSync(one!, Buffer.alloc(50, 0xff))
  writeFileSync(two!, 'not a segment')
  writeFileSync(three!, '')
  writeFileSync(join(root, 'README'), 'of somebody else')
  const next = openSpool(root)
  await next.spool.adopt()
  assert.deepEqual((await readAll(next.spool)).map(asText), [record(1), record(4)].map(asText))
  await next.spool.close()
})

test('a segment that cannot be read, or is of another version, keeps none of the others, stays, and is told once; the folder is locked by nobody then', async (t) => {
  const root = temporaryFolder(t)
  const [, two, three] = await writeSegments(root, [1, 2, 3, 4])
  rmSync(two!)
  // What cannot be read even by root.
  mkdirSync(two!)
  const bytes = readFileSync(three!)
  bytes[7] = 2
  writeFileSync(three!, bytes)
  const warnings: unknown[] = []
  const next = openSpool(root, {
    logger: { ...silentLogger, warn: ({ segment }) => void warnings.push(segment) },
  })
  await next.spool.adopt()
  const read = await readAll(next.spool)
  assert.deepEqual(read.map(asText), [record(1), record(4)].map(asText))
  for (const one of read) next.spool.settle(one.segment, one)
  await next.spool.close()
  const again = openSpool(root, {
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
  const older = openSpool(root)
  await older.spool.adopt()
  assert.deepEqual((await readAll(older.spool)).map(asText), [asText(record(3))])
  await older.spool.close()
  await again.spool.close()
})

test('a folder whose lock somebody has removed is not taken from its owner, is told of once, and is taken once there is a lock again', async (t) => {
  const root = temporaryFolder(t)
  const owner = openSpool(root)
  await owner.spool.append([record(1)], 0)
  const lock = join(dirname(segmentsOf(root)[0]!), 'lock')
  unlinkSync(lock)
  const warnings: string[] = []
  const warn = (_fields: object, message: string) => void warnings.push(message)
  const other = openSpool(root, { logger: { ...silentLogger, warn } })
  await other.spool.adopt()
  await other.spool.adopt()
  assert.equal(other.spool.hasUnread, false)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /make an empty file "lock"/)
  await owner.spool.close()
  writeFileSync(lock, '')
  await other.spool.adopt()
  assert.deepEqual((await readAll(other.spool)).map(asText), [asText(record(1))])
  await other.spool.close()
})

test('records that go bad on disk while this process lives are counted as damaged', async (t) => {
  const root = temporaryFolder(t)
  const { spool, lost } = openSpool(root)
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

test('a disk that does not take a record counts none of it, and the next one is written', async (t) => {
  const root = temporaryFolder(t)
  const { spool } = openSpool(root)
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
  const { spool, lost } = openSpool(root, { segmentBytes: 1 })
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
  const { spool } = openSpool(root)
  await assert.rejects(spool.append([record(1)], 0), /could not be locked/)
  assert.deepEqual(readdirSync(root), [])
  assert.equal(spool.items('spans'), 0)
})
