import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import { recordSpans } from './recorded-spans.testing.ts'
import { Span } from './span.ts'

const spans = recordSpans()
const names = () => spans.ended.map(({ name }) => name)
beforeEach(() => {
  spans.ended.length = 0
})
after(() => spans.close())

const endings: [string, number, (values: Generator<number>) => void][] = [
  ['consumed', 3, (values) => void [...values]],
  [
    'left by break',
    1,
    (values) => {
      for (const _ of values) break
    },
  ],
  [
    'returned',
    1,
    (values) => {
      values.next()
      values.return(9)
    },
  ],
  [
    'returned before it began',
    0,
    (values) => {
      values.return(9)
    },
  ],
  ['destructured', 1, ([_first]) => undefined],
]

test('the span of a generator ends when that is consumed or left, and its body runs within the span', () => {
  for (const [how, steps, use] of endings) {
    spans.ended.length = 0
    let seen = 0
    const values = new Span().start('generator', function* (span) {
      for (let i = 0; i < 3; i++) {
        assert.equal(trace.getActiveSpan(), span.getOtlpSpan())
        seen++
        yield i
      }
    })
    assert.deepEqual(names(), [], how)
    use(values)
    assert.deepEqual([names(), seen], [['generator'], steps], how)
    assert.equal(spans.ended[0]?.status.code, SpanStatusCode.UNSET, how)
  }
})

test('the span of an async generator ends likewise, also when a promise gave it', async () => {
  async function* body(span: Span): AsyncGenerator<number, void, unknown> {
    for (let i = 0; i < 3; i++) {
      await new Promise(setImmediate)
      assert.equal(trace.getActiveSpan(), span.getOtlpSpan())
      yield i
    }
  }
  for (const left of [false, true]) {
    for (const start of [
      () => new Span().start('stream', body),
      () => new Span().start('stream', async (span) => body(span)),
    ]) {
      spans.ended.length = 0
      const seen: number[] = []
      for await (const value of await start()) {
        assert.deepEqual(names(), [])
        seen.push(value)
        if (left) break
      }
      assert.deepEqual([names(), seen], [['stream'], left ? [0] : [0, 1, 2]])
    }
  }
})

test('an iterator of a class of its own keeps its other members, and its span ends as that of any other', async () => {
  class TokenStream {
    usage = 0
    readonly #tokens = ['a', 'b']

    get left(): number {
      return this.#tokens.length
    }

    tokens(): readonly string[] {
      return [...this.#tokens]
    }

    async next(): Promise<IteratorResult<string, undefined>> {
      const value = this.#tokens.shift()
      if (value === undefined) return { value, done: true }
      this.usage += 1
      return { value, done: false }
    }

    [Symbol.asyncIterator](): this {
      return this
    }
  }
  const stream: TokenStream = await new Span().start('stream', async () => new TokenStream())
  assert.deepEqual([stream.left, stream.tokens(), 'usage' in stream, names()], [2, ['a', 'b'], true, []])
  const seen: string[] = []
  for await (const token of stream) seen.push(token)
  assert.deepEqual([seen, stream.usage, names()], [['a', 'b'], 2, ['stream']])
  stream.usage = 7
  assert.equal(stream.usage, 7)
  // One of Node's own, which has none.
  const numbers = new Span().start('numbers', () => [1, 2][Symbol.iterator]())
  assert.deepEqual(
    [[...numbers], names()],
    [
      [1, 2],
      ['stream', 'numbers'],
    ],
  )
})

test('an error in the middle of a generator, or thrown into it, ends and marks its span and comes out unchanged', async () => {
  const error = new Error('in the middle')
  const failing = new Span().start('generator', function* () {
    yield 1
    throw error
  })
  assert.throws(() => [...failing], error)
  const stream = new Span().start('stream', async function* () {
    yield 1
    yield 2
  })
  await stream.next()
  await assert.rejects(stream.throw(error), error)
  assert.deepEqual(names(), ['generator', 'stream'])
  for (const { status, events } of spans.ended)
    assert.deepEqual([status.message, events.length], ['in the middle', 1])
})

test('what a generator is sent arrives, what it catches is no error, and its return value comes back', () => {
  const talk = new Span().start('talk', function* (): Generator<string, string, string> {
    try {
      const heard = yield 'hello'
      yield `heard ${heard}`
    } catch (error) {
      yield `caught ${String(error)}`
    }
    return 'bye'
  })
  assert.deepEqual(
    [talk.next().value, talk.next('you').value, talk.throw('oh').value, talk.next()],
    ['hello', 'heard you', 'caught oh', { value: 'bye', done: true }],
  )
  assert.equal(spans.named('talk').status.code, SpanStatusCode.UNSET)
})

test('a cursor of a database, whose next gives documents and which makes an iterator when it is iterated, comes back as it is', async () => {
  const documents = ['a', 'b']
  const cursor = {
    next: async () => documents.shift() ?? null,
    async *[Symbol.asyncIterator]() {
      for (let one = await this.next(); one !== null; one = await this.next()) yield one
    },
  }
  assert.equal(
    new Span().start('find', () => cursor),
    cursor,
  )
  assert.deepEqual(names(), ['find'])
  const found: string[] = []
  for await (const one of cursor) found.push(one)
  assert.deepEqual(found, ['a', 'b'])
})

test('an iterator of a class of its own is still an instance of that class', () => {
  class Tokens {
    next() {
      return { done: true, value: undefined }
    }
    [Symbol.iterator]() {
      return this
    }
  }
  assert.ok(new Span().start('model', () => new Tokens()) instanceof Tokens)
})
