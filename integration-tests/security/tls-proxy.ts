import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, request as requestHttp } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import type { Certificate } from './certificates.ts'

export interface TlsProxyOptions {
  /** The real server. */
  readonly target: string
  /** Without it the proxy speaks plain HTTP. */
  readonly certificate?: Certificate
  /** Whoever comes without this is refused with 401. */
  readonly basicAuth?: { readonly username: string; readonly password: string }
}

/**
 * Stands in front of a real server of the local stack that has no TLS of its own (the embedded ClickHouse, the development registry),
 * as a load balancer does. Gives its URL; ends with the test file.
 */
export async function startTlsProxy({ target, certificate, basicAuth }: TlsProxyOptions): Promise<string> {
  const expected =
    basicAuth === undefined
      ? undefined
      : `Basic ${Buffer.from(`${basicAuth.username}:${basicAuth.password}`).toString('base64')}`
  const listener: RequestListener = (incoming, outgoing) => {
    if (expected !== undefined && incoming.headers.authorization !== expected) {
      outgoing
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"error_code":401,"message":"Unauthorized"}')
      return
    }
    const { method, headers, url = '/' } = incoming
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
