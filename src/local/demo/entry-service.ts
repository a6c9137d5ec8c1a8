import { setTimeout as sleep } from 'node:timers/promises'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import { Trace } from '../../producer/index.ts'
import { type Handler, post } from './http.ts'
import { planRequest } from './scenario.ts'
import { requestIndex } from './tools-service.ts'

/** What the entry answers: where to look for the request. */
export interface EntryAnswer {
  readonly sid: string
  readonly traceId: string
}

/** Takes a user's request, says whose it is, and has the workflow answer it. */
export function entryService(workflowUrl: string): Handler {
  const tracer = trace.getTracer('demo-entry')
  return async (_path, body) => {
    const request = planRequest(requestIndex(body))
    Trace.setIdentity({ appId: request.appId, uid: request.uid, chatId: request.chatId })
    await tracer.startActiveSpan('entry.authorize', async (span) => {
      await sleep(1)
      span.setAttribute('user.tier', request.index % 5 === 0 ? 'gold' : 'free')
      span.end()
    })
    const answer = await tracer.startActiveSpan('entry.chat', async (span) => {
      const result = await post(`${workflowUrl}/run`, { index: request.index })
      span.setAttribute('code', result.status === 200 ? 0 : result.status)
      if (result.status !== 200)
        span.setStatus({ code: SpanStatusCode.ERROR, message: 'the workflow failed' })
      span.end()
      return result
    })
    const found: EntryAnswer = {
      sid: Trace.sid() ?? '',
      traceId: trace.getActiveSpan()?.spanContext().traceId ?? '',
    }
    return { status: answer.status, body: found }
  }
}
