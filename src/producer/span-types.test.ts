import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunResult } from './run-to-end.ts'
import { Span } from './span.ts'

/* What the compiler says of `span.start`: a wrong type here fails `npm run check`, not the test run. */

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <T extends true>(value?: T) => assert.equal(value, undefined)

test('the type of a callback’s result is that of start, promises and generators included', () => {
  const span = new Span()
  const number = () => span.start('x', () => 5)
  const nothing = () => span.start('x', () => undefined)
  const promise = () => span.start('x', async () => 'text')
  const like = () => span.start('x', (): PromiseLike<Date> => Promise.resolve(new Date()))
  const either = () => span.start('x', (): string | Promise<string> => 'text')
  const literal = () => span.start('x', () => ({ a: 1, b: ['x'] }) as const)
  const any = () => span.start('x', () => JSON.parse('1'))
  const generator = () =>
    span.start('x', function* (): Generator<number, string, boolean> {
      yield 1
      return ''
    })
  const stream = () =>
    span.start('x', { attributes: { a: 1 } }, async function* () {
      yield { token: 'a' }
    })
  const failing = () =>
    span.start('x', () => {
      throw new Error('always')
    })
  const promised = async <T>(work: () => Promise<T>): Promise<T> => await span.start('x', work)
  const within = async <T extends object>(work: () => Promise<T[]>): Promise<T[]> =>
    await span.start('x', { attributes: {} }, async (inner) => {
      inner.setCode(0)
      return await work()
    })
  const tokens = async function* <T>(source: () => AsyncGenerator<T>): AsyncGenerator<T> {
    for await (const token of span.start('x', source)) yield token
  }
  const plain = <T>(work: () => T): RunResult<T> => span.start(work)
  const later = () => span.start(async () => (await import('./span-level.ts')).SpanLevel.INFO)
  const started = () => span.start('x')
  holds<Equal<ReturnType<typeof number>, number>>()
  holds<Equal<ReturnType<typeof nothing>, undefined>>()
  holds<Equal<ReturnType<typeof promise>, Promise<string>>>()
  holds<Equal<ReturnType<typeof like>, Promise<Date>>>()
  holds<Equal<ReturnType<typeof either>, string | Promise<string>>>()
  holds<Equal<ReturnType<typeof literal>, { readonly a: 1; readonly b: readonly ['x'] }>>()
  // biome-ignore lint/suspicious/noExplicitAny: that any stays any is what is tried
  holds<Equal<ReturnType<typeof any>, any>>()
  holds<Equal<ReturnType<typeof generator>, Generator<number, string, boolean>>>()
  holds<Equal<ReturnType<typeof stream>, AsyncGenerator<{ token: string }, void, unknown>>>()
  holds<Equal<ReturnType<typeof later>, Promise<'INFO'>>>()
  holds<Equal<ReturnType<typeof started>, Span>>()
  holds<Equal<ReturnType<typeof failing>, never>>()
  holds<Equal<ReturnType<typeof promised<Date>>, Promise<Date>>>()
  holds<Equal<ReturnType<typeof within<Date>>, Promise<Date[]>>>()
  holds<Equal<ReturnType<typeof tokens<Date>>, AsyncGenerator<Date>>>()
  holds<Equal<ReturnType<typeof plain<Date>>, Date>>()
  // @ts-expect-error a callback gets a Span
  void (() => span.start('x', (inner: number) => inner))
  // @ts-expect-error a name is a text
  void (() => span.start(5, () => 1))
})
