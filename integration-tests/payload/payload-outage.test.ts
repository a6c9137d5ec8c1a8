import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { systemClock } from '../../src/model/clock.ts'
import { PayloadReference } from '../../src/model/payload-reference.ts'
import { formatPayloadReference, parsePayloadReference } from '../../src/model/payload-reference-text.ts'
import {
  testBatch,
  testFragment,
  testRecord,
  testRecordType,
  testSpan,
} from '../../src/sinks/fragments.testing.ts'
import { openObjectStore } from '../../src/storage/object-store.ts'
import { PayloadPacker, readPayload } from '../../src/storage/payload-pack.ts'
import { readPackIndex } from '../../src/storage/payload-pack-format.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { Offload } from '../../src/worker/process/offload.ts'
import { freshObjectStore } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { s3Options } from './s3-for-tests.ts'

const servers = await useServers('seaweedfs')
const url = await freshObjectStore(servers)
const proxy = new TcpProxy(servers.s3Endpoint)
await proxy.start()
after(() => proxy.close())
const direct = openObjectStore(url, s3Options(servers))

const textOf = (place: number): string => `${place} 天气如何？ `.repeat(500)

test('payloads of fragments that meet an outage of S3 are all stored once it is back, and memory is free again', async () => {
  const store = openObjectStore(url, { ...s3Options(servers, proxy.url), requestTimeoutMs: 2_000 })
  let failures = 0
  const { promise: failedTwice, resolve } = withResolver()
  const packer = new PayloadPacker({
    store,
    clock: systemClock,
    maxBackoffMs: 200,
    observer: {
      uploadFailed() {
        failures += 1
        if (failures === 2) resolve()
      },
    },
  })
  const offload = new Offload({ packer, recordTypes: testRecordType, logger: silentLogger })
  const fragments = Array.from({ length: 50 }, (_, place) => {
    const attributes = [{ key: 'prompt', value: textOf(place) }]
    const batch = testBatch({ sid: `sid-${place}`, spans: [testSpan({ attributes })] })
    return testFragment([{ ...testRecord(batch, { offset: place }), hasLargeValue: true }])
  })

  proxy.set('refusing')
  const processed = offload.process(fragments)
  await failedTwice
  assert.ok(packer.heldBytes > 0)
  proxy.set('open')

  const keys = new Set<string>()
  for (const [place, fragment] of (await processed).entries()) {
    const model = fragment.records[0]?.decode()
    assert.ok(model !== undefined && 'spans' in model)
    const reference = model.spans[0]?.attributes[0]?.value
    assert.ok(reference instanceof PayloadReference)
    const read = await readPayload(direct, parsePayloadReference(formatPayloadReference(reference)))
    assert.equal(read.toString(), textOf(place))
    assert.equal(createHash('sha256').update(read).digest('hex'), reference.sha256)
    keys.add(reference.key ?? '')
  }
  assert.equal(keys.size, 1, 'one object for the batch')
  assert.equal(packer.heldBytes, 0)
  const index = await readPackIndex(direct, [...keys][0] ?? '')
  assert.deepEqual(
    new Set(index.flatMap(({ owners }) => owners.map(({ sid }) => sid))),
    new Set(fragments.map(({ sid }) => sid)),
  )
  await packer.close()
  await store.close()
})

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
