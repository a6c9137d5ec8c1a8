import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import type { Verdict } from './health.ts'

export interface HealthServerOptions {
  /** Default `127.0.0.1`. */
  host?: string
  /** 0 = any free port. */
  port: number
  registry: Registry
  verdict: () => Verdict
}

/** `/metrics` (Prometheus text), `/healthz` (200 = alive) and `/readyz` (200 = ready), on loopback unless told otherwise. */
export class HealthServer {
  readonly #options: HealthServerOptions
  readonly #server: Server

  constructor(options: HealthServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => {
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return answer(response, 405, 'method not allowed\n')
      const path = (request.url ?? '/').split('?')[0]
      if (path === '/healthz') return this.#answerVerdict(response, (verdict) => verdict.isAlive)
      if (path === '/readyz') return this.#answerVerdict(response, (verdict) => verdict.isReady)
      if (path !== '/metrics') return answer(response, 404, 'not found\n')
      options.registry.metrics().then(
        (text) => answer(response, 200, text, options.registry.contentType),
        (error: unknown) => answer(response, 500, `${String(error)}\n`),
      )
    })
    this.#server.requestTimeout = 10_000
    this.#server.headersTimeout = 10_000
    this.#server.maxConnections = 64
  }

  /** Resolves with the port. */
  start(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#options.port, this.#options.host ?? '127.0.0.1', () => {
        this.#server.off('error', reject)
        // An open metrics port alone must not keep a finished worker alive.
        this.#server.unref()
        resolve((this.#server.address() as AddressInfo).port)
      })
    })
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  #answerVerdict(response: ServerResponse, isGood: (verdict: Verdict) => boolean): void {
    const verdict = this.#options.verdict()
    const isOk = isGood(verdict)
    const body = { status: isOk ? 'ok' : 'failing', problems: verdict.problems }
    answer(response, isOk ? 200 : 503, `${JSON.stringify(body)}\n`, 'application/json')
  }
}

function answer(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}
