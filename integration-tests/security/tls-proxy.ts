import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  request as requestHttp,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import type { Certificate } from './certificates.ts'

export interface TlsProxyOptions {
  /** The real server. */
  readonly target: string
  /** Without it the proxy speaks plain HTTP. */
  readonly certificate?: Certificate
  /** What a client must come with. */
  readonly basicAuth?: BasicAuth
  /** What the real server gets in its place. Without it the server knows no users, and the proxy refuses the others with 401 itself. */
  readonly serverAuth?: BasicAuth
}

export interface BasicAuth {
  readonly username: string
  readonly password: string
}

/**
 * Stands in front of a real server of the local stack that has no TLS of its own (the embedded ClickHouse, the development registry),
 * as a load balancer does. Gives its URL; ends with the test file.
 */
export async function startTlsProxy({
  target,
  certificate,
  basicAuth,
  serverAuth,
}: TlsProxyOptions): Promise<string> {
  const expected = authorizationOf(basicAuth)
  const listener: RequestListener = (incoming, outgoing) => {
    const isExpected = credentialsOf(incoming.headers) === expected
    if (expected !== undefined && serverAuth === undefined && !isExpected) {
      outgoing
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"error_code":401,"message":"Unauthorized"}')
      return
    }
    if (expected !== undefined && isExpected) {
      delete incoming.headers['x-clickhouse-user']
      delete incoming.headers['x-clickhouse-key']
      incoming.headers.authorization = authorizationOf(serverAuth)
    }
    const { method, url = '/' } = incoming
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).filter(([, value]) => value !== undefined),
    )
    const forwarded = requestHttp(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    incoming.pipe(forwarded)
  }
  const server =
    certificate === undefined
      ? createServer(listener)
      : createTlsServer(
          { cert: readFileSync(certificate.certPath), key: readFileSync(certificate.keyPath) },
          listener,
        )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.close()
    server.closeAllConnections()
  })
  const scheme = certificate === undefined ? 'http' : 'https'
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** As basic authentication says it. The ClickHouse client has headers of its own when it has an authority of its own. */
function credentialsOf(headers: IncomingHttpHeaders): string | undefined {
  const { 'x-clickhouse-user': username, 'x-clickhouse-key': password } = headers
  if (username === undefined) return headers.authorization
  return authorizationOf({ username: String(username), password: String(password ?? '') })
}

function authorizationOf(auth: BasicAuth | undefined): string | undefined {
  return auth === undefined
    ? undefined
    : `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`
}
