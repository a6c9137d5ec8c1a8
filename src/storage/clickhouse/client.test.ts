import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { isSiderealError, type SiderealError } from '../../model/errors.ts'
import { isLoopback, openClickHouse } from './client.ts'

/** A server that answers as told, and a client of it. */
async function withServer<T>(
  answer: RequestListener,
  run: (client: ReturnType<typeof openClickHouse>) => Promise<T>,
  compressInserts = false,
): Promise<T> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = openClickHouse({
    url: `http://127.0.0.1:${port}`,
    database: 'd',
    requestTimeoutMs: 300,
    compressInserts,
  })
  try {
    return await run(client)
  } finally {
    await client.close()
    server.closeAllConnections()
    server.close()
  }
}

async function insertError(answer: RequestListener): Promise<SiderealError> {
  return withServer(answer, async (client) => {
    const error = await client.insertNative('t', ['a'], [Buffer.from([1, 0])]).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    assert.ok(isSiderealError(error), String(error))
    return error
  })
}

const readThen =
  (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
  (request, response) => {
    request.resume().on('end', () => response.writeHead(status, headers).end(body))
  }

test('an exception in the body of a 200 is an error, by its code', async () => {
  const memory = await insertError(
    readThen(200, 'Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)'),
  )
  assert.deepEqual([memory.code, memory.retryable], ['SIDEREAL_CLICKHOUSE_FAILED', true])
  const row = await insertError(
    readThen(
      200,
      '\r\n__exception__\r\nCode: 469. DB::Exception: Constraint `c` for table d.t is violated. (VIOLATED_CONSTRAINT)',
    ),
  )
  assert.deepEqual([row.code, row.retryable], ['SIDEREAL_ROW_REFUSED', false])
  const unknown = await insertError(readThen(200, 'hello'))
  assert.equal(unknown.retryable, true)
})

test('an answer of something else on the way, such as a proxy, is an outage', async () => {
  const error = await insertError(readThen(502, '<html>Bad Gateway</html>'))
  assert.deepEqual([error.code, error.retryable], ['SIDEREAL_CLICKHOUSE_UNAVAILABLE', true])
})

test('a server that does not answer is given up after the request timeout', async () => {
  const error = await insertError((request) => request.resume())
  assert.deepEqual([error.code, error.retryable], ['SIDEREAL_CLICKHOUSE_UNAVAILABLE', true])
})

test('a line that breaks before the answer is an outage', async () => {
  const error = await insertError((request) => request.socket.destroy())
  assert.deepEqual([error.code, error.retryable], ['SIDEREAL_CLICKHOUSE_UNAVAILABLE', true])
})

test('an aborted insert ends at once', async () => {
  await withServer(
    (request) => request.resume(),
    async (client) => {
      const abort = new AbortController()
      const insert = client.insertNative('t', ['a'], [Buffer.from([1, 0])], abort.signal)
      abort.abort()
      await assert.rejects(insert, (error) => isSiderealError(error) && error.retryable)
    },
  )
})

test('inserts are synchronous, not collapsed, not deduplicated, and say so', async () => {
  let url = ''
  await withServer(
    (request, response) => {
      url = request.url ?? ''
      readThen(200, '')(request, response)
    },
    (client) => client.insertNative('d.t', ['a', 'events.name'], [Buffer.from([1, 0])]),
  )
  const parameters = new URL(url, 'http://h').searchParams
  for (const setting of ['async_insert', 'optimize_on_insert', 'insert_deduplicate']) {
    assert.equal(parameters.get(setting), '0', setting)
  }
  assert.equal(parameters.get('query'), 'INSERT INTO d.t (`a`, `events.name`) FORMAT Native')
})

test('only a server on this machine gets its rows uncompressed', () => {
  for (const url of [
    'http://127.0.0.1:8123',
    'http://localhost:1',
    'http://[::1]:8123',
    'http://127.9.9.9',
  ]) {
    assert.equal(isLoopback(url), true, url)
  }
  for (const url of [
    'http://clickhouse:8123',
    'https://10.0.0.1',
    'http://127.example.com',
    'http://localhost.example.com',
  ]) {
    assert.equal(isLoopback(url), false, url)
  }
})

test('compressed inserts are zstd', async () => {
  const received: Buffer[] = []
  let encoding: string | undefined
  const body = await withServer(
    (request, response) => {
      encoding = request.headers['content-encoding']
      const parts: Buffer[] = []
      request
        .on('data', (part: Buffer) => parts.push(part))
        .on('end', () => {
          received.push(...parts)
          response.end()
        })
    },
    async (client) => {
      await client.insertNative('t', ['a'], [Buffer.from('abc'), Buffer.from('def')])
      return zstdDecompressSync(Buffer.concat(received)).toString()
    },
    true,
  )
  assert.equal(encoding, 'zstd')
  assert.equal(body, 'abcdef')
})
