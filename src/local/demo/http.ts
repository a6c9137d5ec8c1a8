import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { createRequire } from 'node:module'
import { json } from 'node:stream/consumers'

/**
 * Node's `http`, taken by `require`: OpenTelemetry's instrumentation patches what is required after it was registered, and this module is
 * first loaded after that.
 */
const http = createRequire(import.meta.url)('node:http') as typeof import('node:http')

const MAX_ANSWER_BYTES = 8 * 1024 * 1024

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export type Handler = (path: string, body: unknown) => Promise<Answer>

/** A JSON service on a free loopback port. */
export async function listen(handler: Handler): Promise<{ server: Server; url: string }> {
  const onRequest: RequestListener = (request, response) => {
    answer(handler, request)
      .catch((error: unknown): Answer => ({ status: 500, body: { error: String(error) } }))
      .then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
        response.end(JSON.stringify(body))
      })
  }
  const server = http.createServer(onRequest)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the demo service has no port')
  return { server, url: `http://127.0.0.1:${address.port}` }
}

async function answer(handler: Handler, request: IncomingMessage): Promise<Answer> {
  return handler(request.url ?? '/', await json(request))
}

/** Calls another demo service, as any program calls a service: nothing here knows of traces. */
export function post(url: string, body: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      url,
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) request.destroy(new Error(`${url} answered more than expected`))
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () => {
          try {
            resolve({
              status: response.statusCode ?? 0,
              body: JSON.parse(Buffer.concat(chunks).toString('utf8')),
            })
          } catch (error) {
            reject(error)
          }
        })
      },
    )
    request.on('error', reject)
    request.end(JSON.stringify(body))
  })
}
