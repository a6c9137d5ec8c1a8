import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { bundledSchema } from './bundled-schemas.ts'
import { SchemaRegistry, subjectFor } from './schema-registry.ts'

type Answer = { status?: number; body?: unknown; silent?: boolean }

let server: Server
let requests: { method: string; url: string; body: string; authorization: string | undefined }[] = []
let answer: (method: string, url: string) => Answer
let url = ''

beforeEach(async () => {
  requests = []
  server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  server.close()
  server.closeAllConnections()
})

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  const method = request.method ?? ''
  requests.push({ method, url: request.url ?? '', body, authorization: request.headers.authorization })
  const given = answer(method, request.url ?? '')
  if (given.silent) return
  response.writeHead(given.status ?? 200, { 'content-type': 'application/json' })
  response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body))
}

const schema = bundledSchema('sidereal.SpanBatch').json
const open = (more: Partial<ConstructorParameters<typeof SchemaRegistry>[0]> = {}) =>
  new SchemaRegistry({ url, timeoutMs: 2000, payloadLimitBytes: 5120, ...more })

test('a schema is fetched once, by one request for all who wait, and compiled', async () => {
  answer = () => ({ body: { schema } })
  const registry = open()
  assert.equal(registry.cached(7), undefined)
  const [a, b] = await Promise.all([registry.fetch(7), registry.fetch(7)])
  assert.equal(a, b)
  assert.deepEqual([a.kind, a.name, a.schemaId], ['spans', 'sidereal.SpanBatch', 7])
  assert.equal(registry.cached(7), a)
  assert.equal(await registry.fetch(7), a)
  assert.deepEqual(
    requests.map((r) => `${r.method} ${r.url}`),
    ['GET /schemas/ids/7'],
  )
})

test('an id that the registry does not have is unknown, and is asked for again only after a while', async () => {
  answer = () => ({ status: 404, body: { error_code: 40403, message: 'Schema 9 not found' } })
  let now = 0
  const registry = open({ unknownTtlMs: 1000, monotonicMs: () => now })
  const unknown = { code: 'SIDEREAL_SCHEMA_UNKNOWN', retryable: false, message: /Schema 9 not found/ }
  await assert.rejects(registry.fetch(9), unknown)
  now = 999
  await assert.rejects(registry.fetch(9), unknown)
  assert.equal(requests.length, 1)
  now = 1000
  answer = () => ({ body: { schema } })
  assert.equal((await registry.fetch(9)).schemaId, 9)
  assert.equal(requests.length, 2)
})

test('an id that no registry can give is unknown without a question: a real one answers it as it answers a wrong path', async () => {
  answer = () => ({ status: 404, body: { error_code: 404, message: 'HTTP 404 Not Found' } })
  for (const id of [2 ** 31, 2 ** 32 - 1]) {
    await assert.rejects(open().fetch(id), { code: 'SIDEREAL_SCHEMA_UNKNOWN', retryable: false })
  }
  assert.equal(requests.length, 0)
})

test('a registry that fails is unavailable and retryable, and nothing is remembered', async () => {
  const registry = open({ timeoutMs: 300 })
  const unavailable = { code: 'SIDEREAL_REGISTRY_UNAVAILABLE', retryable: true }
  const failures: Answer[] = [
    { status: 500, body: { error_code: 50001, message: 'store' } },
    { status: 404, body: 'a proxy says no' },
    { status: 401, body: {} },
    { status: 200, body: 'not JSON' },
    { status: 200, body: {} },
    { silent: true },
  ]
  for (const failure of failures) {
    answer = () => failure
    await assert.rejects(registry.fetch(1), unavailable)
  }
  answer = () => ({ body: { schema } })
  assert.equal((await registry.fetch(1)).schemaId, 1)
})

test('a registry that is not there is named with its address and the setting', async () => {
  const registry = new SchemaRegistry({ url: 'http://127.0.0.1:9', timeoutMs: 2000, payloadLimitBytes: 1 })
  await assert.rejects(registry.check(), {
    code: 'SIDEREAL_REGISTRY_UNAVAILABLE',
    message: /127\.0\.0\.1:9.*SIDEREAL_REGISTRY_URL/,
  })
})

test('a schema of something else is incompatible, and not asked for again at once', async () => {
  const registry = open()
  answer = () => ({ body: { schema: '"string"' } })
  await assert.rejects(registry.fetch(3), { code: 'SIDEREAL_SCHEMA_INCOMPATIBLE' })
  answer = () => ({ body: { schema: '{}', schemaType: 'JSON' } })
  await assert.rejects(registry.fetch(3), { code: 'SIDEREAL_SCHEMA_INCOMPATIBLE', message: /string/ })
  await assert.rejects(registry.fetch(4), { code: 'SIDEREAL_SCHEMA_INCOMPATIBLE', message: /JSON/ })
  assert.equal(requests.length, 2)
})

test('registering sets FULL_TRANSITIVE first, sends credentials, and gives the id', async () => {
  answer = (method) => ({ body: method === 'PUT' ? { compatibility: 'FULL_TRANSITIVE' } : { id: 12 } })
  const registry = open({ url: `${url}/`, auth: { username: 'u', password: 'p:w' } })
  assert.equal(await registry.register(subjectFor('a/b', 'sidereal.SpanBatch'), schema), 12)
  assert.deepEqual(
    requests.map((r) => [r.method, r.url, JSON.parse(r.body)]),
    [
      ['PUT', '/config/a%2Fb-sidereal.SpanBatch', { compatibility: 'FULL_TRANSITIVE' }],
      ['POST', '/subjects/a%2Fb-sidereal.SpanBatch/versions', { schema }],
    ],
  )
  assert.equal(requests[0]?.authorization, `Basic ${Buffer.from('u:p:w').toString('base64')}`)
})

test('the id of a schema that is there is read, with rights to read alone; one that is not is registered', async () => {
  answer = (method, path) =>
    method === 'POST' && path === '/subjects/s'
      ? { body: { subject: 's', version: 1, id: 12, schema } }
      : { status: 403, body: { error_code: 40301, message: 'read only' } }
  assert.equal(await open().idOf('s', schema), 12)
  assert.deepEqual(
    requests.map((r) => [r.method, r.url, JSON.parse(r.body)]),
    [['POST', '/subjects/s', { schema }]],
  )
  for (const code of [40401, 40403]) {
    requests = []
    answer = (method, path) => {
      if (method === 'PUT') return { body: {} }
      return path === '/subjects/s'
        ? { status: 404, body: { error_code: code, message: 'not found' } }
        : { body: { id: 13 } }
    }
    assert.equal(await open().idOf('s', schema), 13)
    assert.deepEqual(
      requests.map((r) => `${r.method} ${r.url}`),
      ['POST /subjects/s', 'PUT /config/s', 'POST /subjects/s/versions'],
    )
  }
  answer = () => ({ status: 500, body: {} })
  await assert.rejects(open().idOf('s', schema), { code: 'SIDEREAL_REGISTRY_UNAVAILABLE' })
})

test('a schema that the registry refuses is incompatible, with the registry’s own words', async () => {
  answer = (method) =>
    method === 'PUT'
      ? { body: {} }
      : { status: 409, body: { error_code: 409, message: 'field x has no default' } }
  await assert.rejects(open().register('s', schema), {
    code: 'SIDEREAL_SCHEMA_INCOMPATIBLE',
    message: /field x has no default/,
  })
})

test('credentials in the URL are used and never shown', async () => {
  answer = () => ({ status: 500, body: {} })
  const registry = open({ url: url.replace('//', '//user:s3cret@') })
  await assert.rejects(registry.check(), (error: Error) => !error.message.includes('s3cret'))
  assert.equal(requests[0]?.authorization, `Basic ${Buffer.from('user:s3cret').toString('base64')}`)
})
