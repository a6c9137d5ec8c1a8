import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { openObjectStore } from './object-store.ts'
import { hasCode, testObjectStoreContract } from './object-store-contract.testing.ts'

let root = ''
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sidereal-store-'))
})
after(() => rm(root, { recursive: true, force: true }))

const open = (name: string) => openObjectStore(pathToFileURL(join(root, name)).href)

testObjectStoreContract('directory', {
  open: async () => {
    const store = open('bücket 1')
    await store.ensureBucket()
    return store
  },
  openWithoutBucket: async () => open('later'),
})

test('a write leaves nothing beside the object', async () => {
  const store = open('clean')
  await store.ensureBucket()
  await store.put('a/b/c', Buffer.from('x'))
  await store.put('a/b/c', Buffer.from('y'))
  assert.deepEqual(await readdir(join(root, 'clean/a/b')), ['c'])
})

test('without its directory a write is refused: a mount that is absent must not be filled below its mount point', async () => {
  await assert.rejects(
    open('unmounted').put('a', Buffer.from('a')),
    hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false),
  )
})

test('a key that runs through a file is refused, and the file stays', async () => {
  const store = open('through')
  await store.ensureBucket()
  await store.put('a', Buffer.from('x'))
  await assert.rejects(store.put('a/b', Buffer.from('y')), hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false))
  assert.equal((await store.getRange('a', 0, 1)).toString(), 'x')
})

test('a URL that is no object store is an error that shows the two forms, without what may be a secret', () => {
  for (const url of [
    '',
    'bucket',
    's3://',
    'https://bucket',
    'file://host/dir',
    'file:///',
    's3://key:secret@bucket?a=b',
  ]) {
    assert.throws(
      () => openObjectStore(url),
      (error) => hasCode('SIDEREAL_CONFIG_INVALID', false)(error) && !/secret/.test(String(error)),
      url,
    )
  }
  assert.throws(() => openObjectStore('s3://bucket/a//b'), hasCode('SIDEREAL_OBJECT_STORE_REFUSED', false))
})
