import type { Context } from '@opentelemetry/api'
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace'
import { boxOfSpan } from './identity.ts'

/**
 * Gives what a processor is told of ended spans the attributes `sid`, `app_id`, `uid` and `chat_id` of the source: another backend knows no SID otherwise.
 * Attributes that the span has by itself stay. The processor is given views of the spans, which say the identity of the moment in which they
 * are read: it may become known after a span has ended. For processors of one's own in `spanProcessors`; those of `exporters` have it.
 */
export function withIdentityAttributes(processor: SpanProcessor): SpanProcessor {
  return {
    onStart: (span: Span, context: Context) => processor.onStart(span, context),
    onEnd: (span: ReadableSpan) => processor.onEnd(viewOf(span)),
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
    ...(processor.onEnding === undefined ? {} : { onEnding: (span: Span) => processor.onEnding?.(span) }),
  }
}

function viewOf(span: ReadableSpan): ReadableSpan {
  const box = boxOfSpan(span)
  if (box === undefined) return span
  const get = (): ReadableSpan['attributes'] => {
    const { sid, appId, uid, chatId } = box.identity
    return { sid, app_id: appId, uid, chat_id: chatId, ...span.attributes }
  }
  return Object.create(span, { attributes: { get, enumerable: true } }) as ReadableSpan
}
