import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { committed, isAllCommitted, logEnds, produce, until } from './source-for-tests.ts'

const servers = await useServers('kafka')
const { brokers } = servers
const folder = mkdtempSync(join(tmpdir(), 'sidereal-source-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function startMember(topic: string, groupId: string, instanceId: string, file: string): ChildProcess {
  const script = fileURLToPath(new URL('member-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, brokers.join(','), topic, groupId, instanceId, file], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  children.push(child)
  return child
}

function read(file: string): { stored: [number, number][]; skipped: [number, number][] } {
  const result: ReturnType<typeof read> = { stored: [], skipped: [] }
  if (!existsSync(file)) return result
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue
    const entry = JSON.parse(line) as { skipped?: [number, number]; partition: number; offsets: number[] }
    if (entry.skipped !== undefined) result.skipped.push(entry.skipped)
    else for (const offset of entry.offsets) result.stored.push([entry.partition, offset])
  }
  return result
}

/** Every offset below a watermark or in a ledger. */
async function committedIds(topic: string, groupId: string): Promise<Set<string>> {
  const ids = new Set<string>()
  for (const [partition, { offset, settled }] of await committed(brokers, topic, groupId)) {
    for (let o = 0; o < Math.max(offset, settled.end); o++) {
      if (o < offset || settled.has(o)) ids.add(`${partition}/${o}`)
    }
  }
  return ids
}

test('kill -9 in the middle, twice: every record is stored, nothing unsettled is committed, and the settled is not done again', async () => {
  const partitions = 3
  const topic = await freshTopic(servers, { partitions })
  const groupId = freshName('group')
  const count = 9_000
  const producing = produce(brokers, topic, partitions, count, 1_500)
  const files: string[] = []
  const storedBefore = new Set<string>()
  const covered: Set<string>[] = []

  for (let life = 0; life < 3; life++) {
    const file = join(folder, `life-${life}`)
    files.push(file)
    const child = startMember(topic, groupId, 'pod-0', file)
    if (life === 2) break
    await until('a thousand records are stored', () => read(file).stored.length > 1_000)
    const before = covered.at(-1)?.size ?? 0
    await until(
      'this life has committed',
      async () => (await committedIds(topic, groupId)).size > before + 500,
    )
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    for (const [partition, offset] of read(file).stored) storedBefore.add(`${partition}/${offset}`)
    const done = new Set<string>()
    for (const [partition, { offset, settled }] of await committed(brokers, topic, groupId)) {
      for (let o = 0; o < Math.max(offset, settled.end); o++) {
        if (o >= offset && !settled.has(o)) continue
        done.add(`${partition}/${o}`)
        assert.ok(
          storedBefore.has(`${partition}/${o}`),
          `partition ${partition}: ${o} is committed, not stored`,
        )
      }
    }
    covered.push(done)
  }
  await producing
  await until('all is committed', () => isAllCommitted(brokers, topic, groupId), 90_000)

  const stored = files.map((file) => new Set(read(file).stored.map(([p, o]) => `${p}/${o}`)))
  for (const [partition, end] of await logEnds(brokers, topic)) {
    for (let o = 0; o < end; o++) {
      assert.ok(
        stored.some((life) => life.has(`${partition}/${o}`)),
        `lost ${partition}/${o}`,
      )
    }
  }
  for (const [life, done] of covered.entries()) {
    for (const id of done) assert.equal(stored[life + 1]!.has(id), false, `${id} was done again`)
  }
  const skipped = files.slice(1).map((file) => read(file).skipped.length)
  assert.ok(
    skipped.every((n) => n > 0),
    `the ledger skipped ${skipped.join(' and ')} records`,
  )
  const repeated = stored.reduce((sum, life) => sum + life.size, 0) - count
  process.stderr.write(
    `kill -9: ${count} records, ${repeated} repeated, ${skipped.join(' + ')} skipped by the ledger\n`,
  )
})
