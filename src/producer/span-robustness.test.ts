import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { NodeLog } from './node-log.ts'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'
import { Trace } from './trace-context.ts'

const spans = recordSpans()
beforeEach(() => {
  spans.ended.length = 0
})
after(() => spans.close())

test('a value that throws when it is looked at comes back, and its span ends', () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const value: unknown = new Span().start('x', () => proxy)
  assert.ok(value === proxy)
  assert.deepEqual(
    spans.ended.map(({ name }) => name),
    ['x'],
  )
})

test('whatever a method is given, it does not throw into the request, and says what it can', () => {
  const accessor = () => ({
    get bad(): string {
      throw new Error('no')
    },
    good: 1,
  })
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  const throwing = new Proxy({}, { get: () => assert.fail(), ownKeys: () => assert.fail() })
  const withoutText = Object.create(null) as object
  const unreadable = {
    toString(): string {
      throw new Error('no text')
    },
  }
  const mute = new Map([[withoutText, 1]])
  const things: unknown[] = [accessor(), revoked, throwing, withoutText, unreadable, mute, 5n, Symbol('s')]
  for (const [i, thing] of [...things, undefined, null, Number.NaN, Object.freeze({}), () => 1].entries()) {
    const node = new NodeLog({ nodeId: 'n', nodeType: 't', nodeName: 'n' })
    const given = thing as never
    const calls: Record<string, (span: Span) => unknown> = {
      key: (span) => span.setAttribute(given, 5, node),
      value: (span) => span.setAttribute('key', given, node),
      attributes: (span) => span.setAttributes(given, node),
      nested: (span) => span.setAttributes({ given: [given] }, node),
      status: (span) => span.setStatus(given, node),
      code: (span) => span.setCode(given, node),
      exception: (span) => span.recordException(given, given, node),
      event: (span) => span.addEvent(given, given, given, node),
      info: (span) => span.addInfoEvent(given, node),
      infos: (span) => span.addInfoEvents(given, given, node),
      error: (span) => span.addErrorEvent(given, node),
      errors: (span) => span.addErrorEvents(given, given, node),
      identity: (span) => span.setIdentity(given),
      active: () => Trace.setIdentity(given),
      extract: () => Trace.extractContext(given),
      inject: () => Trace.injectContext(given),
      contexts: () => [
        Trace.sid(given),
        Trace.identity(given),
        Trace.setIdentity({ uid: 'u' }, given),
        Trace.extractContext({}, given),
        Trace.injectContext({}, given),
      ],
      made: () => new Span(given).start('made').end(),
      traceContext: (span) => span.start('child', { traceContext: given }, () => undefined),
      options: (span) => span.start('child', { attributes: given }, () => undefined),
    }
    for (const [name, call] of Object.entries(calls)) {
      new Span().start('request', (span) => assert.doesNotThrow(() => call(span), `${name}, thing ${i}`))
    }
  }
  spans.ended.length = 0
  new Span().start('request', (span) => span.setAttributes(accessor()).setAttribute('list', [revoked]))
  assert.deepEqual(
    { ...spans.named('request').attributes },
    {
      bad: '[Error: no]',
      good: 1,
      list: '["[TypeError: Cannot perform \'getPrototypeOf\' on a proxy that has been revoked]"]',
    },
  )
})

test('a tracer that fails to start a span does not keep the callback from running', () => {
  const tracer = { startSpan: () => assert.fail(), startActiveSpan: () => assert.fail() }
  assert.equal(
    new Span({ tracer }).start('x', (span) => span.setAttribute('a', 1).start('y', () => 5)),
    5,
  )
})
