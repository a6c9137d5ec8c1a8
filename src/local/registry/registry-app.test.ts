import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { SchemaRegistry as ConfluentClient, SchemaType } from '@kafkajs/confluent-schema-registry'
import { buildRegistryApp } from './registry-app.ts'
import { SchemaStore } from './schema-store.ts'

const schema = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'test.R', fields })
const V1 = schema({ name: 'a', type: 'string' })
const V2 = schema({ name: 'a', type: 'string' }, { name: 'b', type: 'long', default: 0 })
const INCOMPATIBLE = schema({ name: 'a', type: 'string' }, { name: 'c', type: 'long' })

const folder = mkdtempSync(join(tmpdir(), 'sidereal-registry-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const fresh = (file?: string) => {
  const app = buildRegistryApp(new SchemaStore(file))
  return async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: object) => {
    const payload = body === undefined ? {} : { payload: JSON.stringify(body) }
    const response = await app.inject({
      method,
      url,
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      ...payload,
    })
    return { status: response.statusCode, body: JSON.parse(response.body) }
  }
}

test('a schema gets an id and a version, by which it is found again', async () => {
  const call = fresh()
  assert.deepEqual(await call('POST', '/subjects/s/versions', { schema: V1 }), {
    status: 200,
    body: { id: 1 },
  })
  assert.deepEqual((await call('GET', '/schemas/ids/1')).body, { schema: V1 })
  assert.deepEqual((await call('GET', '/subjects')).body, ['s'])
  assert.deepEqual((await call('GET', '/subjects/s/versions')).body, [1])
  const version = { subject: 's', version: 1, id: 1, schema: V1 }
  assert.deepEqual((await call('GET', '/subjects/s/versions/1')).body, version)
  assert.deepEqual((await call('GET', '/subjects/s/versions/latest')).body, version)
  assert.deepEqual((await call('POST', '/subjects/s', { schema: V1 })).body, version)
  assert.deepEqual((await call('GET', '/subjects/s/versions/1/schema')).body, JSON.parse(V1))
  assert.deepEqual((await call('GET', '/schemas/ids/1/versions')).body, [{ subject: 's', version: 1 }])
})

test('registering a schema again changes nothing, and equal schemas share an id in all subjects', async () => {
  const call = fresh()
  await call('POST', '/subjects/s/versions', { schema: V1 })
  assert.deepEqual((await call('POST', '/subjects/s/versions', { schema: ` ${V1}` })).body, { id: 1 })
  assert.deepEqual((await call('POST', '/subjects/other/versions', { schema: V1 })).body, { id: 1 })
  assert.deepEqual((await call('POST', '/subjects/s/versions', { schema: V2 })).body, { id: 2 })
  assert.deepEqual((await call('GET', '/subjects/s/versions')).body, [1, 2])
})

test('an incompatible schema is refused with 409 and leaves no version', async () => {
  const call = fresh()
  await call('POST', '/subjects/s/versions', { schema: V1 })
  const refused = await call('POST', '/subjects/s/versions', { schema: INCOMPATIBLE })
  assert.equal(refused.status, 409)
  assert.equal(refused.body.error_code, 409)
  assert.deepEqual((await call('GET', '/subjects/s/versions')).body, [1])
})

test('the compatibility check answers without registering', async () => {
  const call = fresh()
  await call('POST', '/subjects/s/versions', { schema: V1 })
  const path = '/compatibility/subjects/s/versions/latest'
  assert.equal((await call('POST', path, { schema: V2 })).body.is_compatible, true)
  const refused = await call('POST', path, { schema: INCOMPATIBLE })
  assert.equal(refused.body.is_compatible, false)
  assert.equal(refused.body.messages.length, 1)
  assert.deepEqual((await call('GET', '/subjects/s/versions')).body, [1])
})

test('the level of a subject goes before the global one', async () => {
  const call = fresh()
  assert.deepEqual((await call('GET', '/config')).body, { compatibilityLevel: 'BACKWARD' })
  assert.deepEqual((await call('PUT', '/config', { compatibility: 'FULL_TRANSITIVE' })).body, {
    compatibility: 'FULL_TRANSITIVE',
  })
  assert.equal((await call('GET', '/config/s')).body.error_code, 40408)
  assert.deepEqual((await call('GET', '/config/s?defaultToGlobal=true')).body, {
    compatibilityLevel: 'FULL_TRANSITIVE',
  })
  await call('PUT', '/config/s', { compatibility: 'none' })
  assert.deepEqual((await call('GET', '/config/s')).body, { compatibilityLevel: 'NONE' })
  await call('POST', '/subjects/s/versions', { schema: V1 })
  assert.equal((await call('POST', '/subjects/s/versions', { schema: INCOMPATIBLE })).status, 200)
})

test("what is missing or wrong is answered with Confluent's codes", async () => {
  const call = fresh()
  await call('POST', '/subjects/s/versions', { schema: V1 })
  const codes = async (...request: Parameters<typeof call>) => {
    const { status, body } = await call(...request)
    return [status, body.error_code]
  }
  assert.deepEqual(await codes('GET', '/subjects/none/versions'), [404, 40401])
  assert.deepEqual(await codes('POST', '/subjects/none', { schema: V1 }), [404, 40401])
  assert.deepEqual(await codes('GET', '/subjects/s/versions/7'), [404, 40402])
  assert.deepEqual(await codes('GET', '/schemas/ids/7'), [404, 40403])
  assert.deepEqual(await codes('GET', '/schemas/ids/x'), [404, 40403])
  assert.deepEqual(await codes('POST', '/subjects/s', { schema: V2 }), [404, 40403])
  assert.deepEqual(await codes('POST', '/subjects/s/versions', { schema: '{"type":"recor"}' }), [422, 42201])
  assert.deepEqual(await codes('POST', '/subjects/s/versions', { schema: '{' }), [422, 42201])
  assert.deepEqual(await codes('POST', '/subjects/s/versions', { schemata: V1 }), [422, 42201])
  assert.deepEqual(
    await codes('POST', '/subjects/s/versions', { schema: V1, schemaType: 'JSON' }),
    [422, 42201],
  )
  assert.deepEqual(await codes('GET', '/subjects/s/versions/0'), [422, 42202])
  assert.deepEqual(await codes('PUT', '/config', { compatibility: 'SOME' }), [422, 42203])
  assert.deepEqual(await codes('GET', '/nothing/here'), [404, 404])
})

test('a subject may hold any character', async () => {
  const call = fresh()
  const subject = 'topic/日本 %-test.R'
  await call('POST', `/subjects/${encodeURIComponent(subject)}/versions`, { schema: V1 })
  assert.deepEqual((await call('GET', '/subjects')).body, [subject])
  assert.deepEqual((await call('GET', `/subjects/${encodeURIComponent(subject)}/versions`)).body, [1])
})

test('a restart finds schemas and levels again, even after a write that a kill cut short', async () => {
  const file = join(folder, 'registry.jsonl')
  const before = fresh(file)
  await before('PUT', '/config/s', { compatibility: 'FULL' })
  await before('POST', '/subjects/s/versions', { schema: V1 })
  writeFileSync(file, '{"kind":"schema","subj', { flag: 'a' })
  const call = fresh(file)
  assert.deepEqual((await call('GET', '/config/s')).body, { compatibilityLevel: 'FULL' })
  assert.deepEqual((await call('POST', '/subjects/s/versions', { schema: V2 })).body, { id: 2 })
  assert.equal(readFileSync(file, 'utf8').trimEnd().split('\n').length, 3)
  assert.deepEqual((await fresh(file)('GET', '/subjects/s/versions')).body, [1, 2])
})

test('@kafkajs/confluent-schema-registry registers, encodes, decodes, and is refused an incompatible schema', async () => {
  const app = buildRegistryApp(new SchemaStore())
  await app.listen({ host: '127.0.0.1', port: 0 })
  try {
    const address = app.server.address()
    assert.ok(address !== null && typeof address === 'object')
    const host = `http://127.0.0.1:${address.port}`
    const client = new ConfluentClient({ host, retry: { retries: 0 } })
    const { id } = await client.register({ type: SchemaType.AVRO, schema: V1 }, { subject: 't-test.R' })
    const again = new ConfluentClient({ host, retry: { retries: 0 } })
    assert.equal((await again.decode(await client.encode(id, { a: 'x' }))).a, 'x')
    assert.equal(await again.getLatestSchemaId('t-test.R'), id)
    assert.equal(await again.getRegistryId('t-test.R', 1), id)
    await assert.rejects(
      client.register({ type: SchemaType.AVRO, schema: INCOMPATIBLE }, { subject: 't-test.R' }),
      /incompatible/,
    )
    await assert.rejects(again.getSchema(99), /not found/)
  } finally {
    await app.close()
  }
})
