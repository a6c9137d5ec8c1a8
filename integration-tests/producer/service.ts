/**
 * One HTTP service of a request's way, in a process of its own, as a user would write it: auto-instrumented `http`, no code of its own for
 * context. Calls the service of `NEXT_URL`, if any; that of `WRITES_LOG` publishes a NodeTraceLog. Prints its URL when it listens, writes
 * what it knows of each request, and its statistics when it is told to end.
 */
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { initTracing, NodeLog, NodeTraceLog, Trace } from '../../src/producer/index.ts'

const tracing = initTracing()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
// Loaded by `require` after the instrumentation, which is what patches it.
const http = createRequire(import.meta.url)('node:http') as typeof import('node:http')

const nextUrl = process.env['NEXT_URL']
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)

const server = http.createServer((request, response) => {
  const atStart = Trace.sid()
  void tracing.tracer.startActiveSpan('work', async (span) => {
    if (request.headers['x-app'] !== undefined)
      Trace.setIdentity({ appId: String(request.headers['x-app']), uid: 'user-1' })
    const called = nextUrl === undefined ? undefined : await call(nextUrl)
    span.setAttribute('answer', 42)
    if (process.env['WRITES_LOG'] !== undefined) writeLog()
    span.end()
    response.end(JSON.stringify({ sid: Trace.sid(), atStart, appId: Trace.identity()?.appId, called }))
  })
})

function call(url: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString('utf8'))))
    })
    request.on('error', reject)
  })
}

function writeLog(): void {
  const log = new NodeTraceLog({ sub: 'workflow', question: '明天的天气？' })
  const node = new NodeLog({ nodeId: 'node-end:1', nodeType: 'node-end', nodeName: 'End' })
  node.appendUsageData({ totalTokens: 28 })
  node.setEnd()
  log.addNodeLog(node)
  log.setEnd()
  tracing.publishNodeTraceLog(log)
}

server.listen(0, '127.0.0.1', () =>
  say({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }),
)
process.stdin.once('data', () => {
  server.close()
  void tracing.shutdown(30_000).then((isFlushed) => {
    say({ isFlushed, stats: tracing.stats() })
    process.exit(0)
  })
})
