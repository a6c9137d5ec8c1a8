import { setTimeout as sleep } from 'node:timers/promises'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import type { Answer, Handler } from './http.ts'
import { demoDocuments, planRequest } from './scenario.ts'

/** Finds documents and runs plugins for the workflow. */
export function toolsService(): Handler {
  const tracer = trace.getTracer('demo-tools')
  return async (path, body) => {
    const request = planRequest(requestIndex(body))
    if (path === '/knowledge') {
      return tracer.startActiveSpan('knowledge.search', async (span): Promise<Answer> => {
        const documents = demoDocuments(request)
        await sleep(4)
        span.setAttribute('knowledge.query', request.question)
        span.setAttribute('knowledge.documents', documents)
        span.setAttribute('knowledge.hits', 3)
        span.setAttribute('knowledge.score', 0.8125)
        span.end()
        return { status: 200, body: { documents } }
      })
    }
    return tracer.startActiveSpan('plugin.call', async (span): Promise<Answer> => {
      await sleep(3)
      span.setAttribute('plugin.name', 'weather')
      if (request.failure === 'plugin') {
        span.recordException(new Error('the weather service answered 503'))
        span.setStatus({ code: SpanStatusCode.ERROR, message: 'the weather service answered 503' })
        span.end()
        return { status: 502, body: { error: 'the weather service answered 503' } }
      }
      span.addEvent('INFO', { 'INFO LOG': 'plugin answered' })
      span.end()
      return { status: 200, body: { result: '18 °C, 多云' } }
    })
  }
}

/** The number of the request, from a body that another demo service sent. */
export function requestIndex(body: unknown): number {
  if (typeof body === 'object' && body !== null && 'index' in body && typeof body.index === 'number')
    return body.index
  throw new Error('the body has no request number')
}
