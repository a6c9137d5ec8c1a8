import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { PutBucketLifecycleConfigurationCommand, S3Client } from '@aws-sdk/client-s3'
import { isSiderealError } from '../../src/model/errors.ts'
import { type ObjectStoreOptions, openObjectStore } from '../../src/storage/object-store.ts'
import { hasCode, testObjectStoreContract } from '../../src/storage/object-store-contract.testing.ts'
import { useServers } from '../support/servers.ts'
import { freshBucket, s3Options } from './s3-for-tests.ts'

const servers = await useServers('seaweedfs')
const { credentials, endpoint } = s3Options(servers)

const options = (changes: ObjectStoreOptions = {}): ObjectStoreOptions => ({
  endpoint,
  credentials,
  ...changes,
})

testObjectStoreContract('S3', {
  open: async () => {
    const store = openObjectStore(`s3://${freshBucket()}/some/prefix`, options())
    await store.ensureBucket()
    return store
  },
  openWithoutBucket: async () => openObjectStore(`s3://${freshBucket()}`, options()),
})

test('two prefixes of one bucket do not see one another', async () => {
  const bucket = freshBucket()
  const one = openObjectStore(`s3://${bucket}/one`, options())
  const two = openObjectStore(`s3://${bucket}/two/`, options())
  await one.ensureBucket()
  await one.put('a', Buffer.from('1'))
  await two.put('a', Buffer.from('2'))
  assert.equal((await one.getRange('a', 0, 1)).toString(), '1')
  assert.equal((await two.getRange('a', 0, 1)).toString(), '2')
})

test('wrong credentials are refused at once, and the message says what to check, without the secret', async () => {
  const bucket = freshBucket()
  await openObjectStore(`s3://${bucket}`, options()).ensureBucket()
  for (const wrong of [
    { accessKeyId: 'nobody', secretAccessKey: 'hidden-value' },
    { accessKeyId: credentials.accessKeyId, secretAccessKey: 'hidden-value' },
  ]) {
    const store = openObjectStore(`s3://${bucket}`, options({ credentials: wrong }))
    await assert.rejects(store.probe(), (error) => {
      hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false)(error)
      assert.ok(isSiderealError(error) && /AWS_SECRET_ACCESS_KEY|s3:PutObject/.test(error.message))
      assert.doesNotMatch(error.message, /hidden-value/)
      return true
    })
  }
})

test('nobody at the endpoint: unavailable, retryable, within the time of one call', async () => {
  const store = openObjectStore(
    's3://bucket',
    options({ endpoint: 'http://127.0.0.1:1', requestTimeoutMs: 5_000 }),
  )
  await assert.rejects(store.probe(), hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
})

test('an endpoint that takes the call and never answers: unavailable, retryable', async () => {
  const server = createServer((socket) => socket.resume().on('error', () => socket.destroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const silent = `http://127.0.0.1:${address.port}`
    const store = openObjectStore('s3://bucket', options({ endpoint: silent, requestTimeoutMs: 500 }))
    await assert.rejects(store.probe(), hasCode('SIDEREAL_OBJECT_STORE_UNAVAILABLE', true))
    await store.close()
  } finally {
    server.close()
  }
})

test('a pre-signed URL gives a range of the object to anybody', async () => {
  const store = openObjectStore(`s3://${freshBucket()}/p`, options())
  await store.ensureBucket()
  await store.put('a/b c', Buffer.from('0123456789'))
  const url = await store.presign('a/b c', 60)
  assert.ok(url !== undefined)
  const response = await fetch(url, { headers: { range: 'bytes=2-4' } })
  assert.equal(response.status, 206)
  assert.equal(await response.text(), '234')
})

test('a pre-signed URL of a range gives nothing else of the object', async () => {
  const store = openObjectStore(`s3://${freshBucket()}/p`, options())
  await store.ensureBucket()
  await store.put('pack', Buffer.from('mine, and of others'))
  const url = await store.presign('pack', 60, { offset: 0, length: 4 })
  assert.ok(url !== undefined)
  const own = await fetch(url, { headers: { range: 'bytes=0-3' } })
  assert.deepEqual([own.status, await own.text()], [206, 'mine'])
  for (const headers of [{ range: 'bytes=0-18' }, { range: 'bytes=4-9' }, {}]) {
    const other = await fetch(url, { headers })
    assert.equal(other.status, 403, JSON.stringify(headers))
    await other.body?.cancel()
  }
})

test('the lifecycle of the bucket is told in days', async () => {
  const bucket = freshBucket()
  const store = openObjectStore(`s3://${bucket}/x`, options())
  await store.ensureBucket()
  assert.equal(await store.lifecycleDays(), Number.POSITIVE_INFINITY)
  const client = new S3Client({
    endpoint,
    credentials,
    region: 'us-east-1',
    forcePathStyle: true,
  })
  await client.send(
    new PutBucketLifecycleConfigurationCommand({
      Bucket: bucket,
      LifecycleConfiguration: {
        Rules: [
          { ID: 'all', Status: 'Enabled', Filter: { Prefix: 'x/payloads/' }, Expiration: { Days: 40 } },
          { ID: 'other', Status: 'Enabled', Filter: { Prefix: 'y/' }, Expiration: { Days: 3 } },
        ],
      },
    }),
  )
  client.destroy()
  assert.equal(await store.lifecycleDays(), 40)
  assert.equal(await store.lifecycleDays('archive/'), Number.POSITIVE_INFINITY)
})
