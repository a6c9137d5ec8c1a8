import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { initTracing, type NodeTraceLog, tracingConfigFromEnv } from '../../producer/index.ts'
import type { Handler } from './http.ts'
import { isStopOrder, type ServiceReport } from './service-messages.ts'
import { Witness } from './witness.ts'

/*
 * One demo service in a process of its own: `service-main entry|workflow|tools <file of the witness> [url of the next service]`.
 * It tells its parent where it listens, and ends, with everything sent, when the parent says so; or at once, when the parent is gone.
 */

const [role = '', witnessFile = '', nextUrl = ''] = process.argv.slice(2)

registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
const serviceName = `demo-${role}`
const witness = new Witness(witnessFile, serviceName)
const tracing = initTracing({
  ...tracingConfigFromEnv(process.env),
  serviceName,
  sid: { sub: 'dmo', location: 'lo' },
  spanProcessors: [witness],
})

function publish(log: NodeTraceLog, traceId: string): void {
  tracing.publishNodeTraceLog(log)
  witness.onLog(log, traceId)
}

/** Loaded only now: what requires `http` before the instrumentation is registered is not instrumented. */
async function handlerOf(name: string): Promise<Handler> {
  if (name === 'entry') return (await import('./entry-service.ts')).entryService(nextUrl)
  if (name === 'tools') return (await import('./tools-service.ts')).toolsService()
  return (await import('./workflow-service.ts')).workflowService({ toolsUrl: nextUrl, publish })
}

const { listen } = await import('./http.ts')
const { server, url } = await listen(await handlerOf(role))

function report(message: ServiceReport): void {
  process.send?.(message)
}

async function stop(): Promise<void> {
  server.closeAllConnections()
  server.close()
  await tracing.shutdown()
  const { spans, logs } = tracing.stats()
  report({ type: 'stopped', spans, logs })
  process.disconnect()
}

process.on('message', (message) => {
  if (!isStopOrder(message)) return
  stop().catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
// A signal of the terminal reaches the whole group: the parent decides what ends when.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))
report({ type: 'listening', url })
