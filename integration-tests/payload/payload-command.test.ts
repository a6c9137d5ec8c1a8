import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../src/model/clock.ts'
import { formatPayloadReference } from '../../src/model/payload-reference-text.ts'
import { openObjectStore } from '../../src/storage/object-store.ts'
import { PayloadPacker } from '../../src/storage/payload-pack.ts'
import { freshObjectStore } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { s3Options } from './s3-for-tests.ts'

const servers = await useServers('seaweedfs')
const url = await freshObjectStore(servers)
const run = promisify(execFile)

/** Runs the CLI as a user does; the promise rejects when it fails. */
async function sidereal(...args: string[]): Promise<Buffer> {
  const { stdout } = await run(process.execPath, ['src/cli/main.ts', ...args], {
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...servers.env, SIDEREAL_OBJECT_STORE: url },
  })
  return stdout
}

async function store(value: Buffer): Promise<string> {
  const objectStore = openObjectStore(url, s3Options(servers))
  const packer = new PayloadPacker({ store: objectStore, clock: systemClock })
  const [reference] = await Promise.all([
    packer.add(Buffer.from(value), { sid: 's', appId: 'a' }),
    packer.flush(),
  ])
  await objectStore.close()
  return formatPayloadReference(reference)
}

test('payload get prints the value byte for byte', async () => {
  const value = Buffer.from('请求 '.repeat(150_000))
  assert.ok((await sidereal('payload', 'get', await store(value))).equals(value))
})

test('payload url prints a command by which anybody reads the value', async () => {
  const value = Buffer.from('answer '.repeat(2_000))
  const line = (await sidereal('payload', 'url', await store(value))).toString()
  const [, range, address] = /Range: (bytes=\d+-\d+)' '(http[^']+)'/.exec(line) ?? []
  const response = await fetch(address ?? '', { headers: { range: range ?? '' } })
  const { zstdDecompressSync } = await import('node:zlib')
  assert.ok(zstdDecompressSync(await response.arrayBuffer()).equals(value))
})

test('a wrong reference ends with an error code and a line that says what to do', async () => {
  const good = await store(Buffer.from('x'.repeat(6_000)))
  for (const [reference, code] of [
    ['payloads/x', 'SIDEREAL_RECORD_INVALID'],
    [good.replace(/hour=\d\d/, 'hour=99'), 'SIDEREAL_PAYLOAD_NOT_FOUND'],
    [good.replace(/#0,/, '#1,'), 'SIDEREAL_PAYLOAD_CORRUPT'],
    [good.replace(/^[^#]*/, ''), 'SIDEREAL_PAYLOAD_NOT_FOUND'],
  ] as const) {
    await assert.rejects(sidereal('payload', 'get', reference), (error) => {
      assert.ok(error instanceof Error && 'stderr' in error && 'code' in error)
      assert.equal(error.code, 1)
      assert.match(String(error.stderr), new RegExp(`^sidereal: ${code}: `))
      return true
    })
  }
})
