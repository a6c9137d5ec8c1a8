import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import {
  logKey,
  murmurHash3x32,
  nodeIdKey,
  nodeKey,
  spanKey,
  traceKey,
  xxHash32,
} from '../../src/codec/hash.ts'
import { openClickHouse } from '../../src/storage/clickhouse/client.ts'
import { useServers } from '../support/servers.ts'

const servers = await useServers('clickhouse')
const client = openClickHouse({
  url: servers.clickhouseUrl,
  database: 'default',
  username: servers.env['SIDEREAL_CLICKHOUSE_USERNAME'],
  password: servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'],
  requestTimeoutMs: 30_000,
})
after(() => client.close())

const KEY = 'bitOr(bitShiftLeft(toUInt64(xxHash32(x)), 32), toUInt64(murmurHash3_32(x)))'

/** Bytes that look random and are the same in every run. */
function bytes(seed: number, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256').update(`${seed}/${i}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, length)
}

async function inClickHouse(
  inputs: readonly Buffer[],
): Promise<{ xx: number; murmur: number; key: string }[]> {
  const list = inputs.map((input) => `'${input.toString('hex')}'`).join(', ')
  return client.query<{ xx: number; murmur: number; key: string }>(
    `SELECT xxHash32(x) AS xx, murmurHash3_32(x) AS murmur, toString(${KEY}) AS key FROM (SELECT unhex(arrayJoin([${list}])) AS x)`,
  )
}

test('both hashes equal ClickHouse’s for every length', async () => {
  const inputs = Array.from({ length: 300 }, (_, length) => bytes(length, length))
  const rows = await inClickHouse(inputs)
  assert.deepEqual(
    rows.map(({ xx, murmur }) => [xx, murmur]),
    inputs.map((input) => [xxHash32(input), murmurHash3x32(input)]),
  )
})

test('every key of the fragment facts can be built by SQL', async () => {
  const traceId = bytes(1, 16)
  const spanId = bytes(2, 8)
  const place = Buffer.from([0x10, 0x27, 0, 0])
  const rows = await inClickHouse([
    Buffer.concat([traceId, spanId]),
    traceId,
    Buffer.concat([traceId, place]),
    Buffer.concat([traceId, Buffer.from('节点-1')]),
  ])
  const hex = traceId.toString('hex')
  assert.deepEqual(
    rows.map(({ key }) => BigInt(key)),
    [spanKey(hex, spanId.toString('hex')), traceKey(hex), nodeKey(hex, 10_000), nodeIdKey(hex, '节点-1')],
  )
  assert.equal(traceKey(hex), logKey(hex))
})
