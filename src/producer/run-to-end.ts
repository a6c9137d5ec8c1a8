/** What a span that runs a callback has to know of it. None of these throws by itself. */
export interface RunHooks {
  /** Runs a piece of the callback as a part of the span. */
  readonly run: <T>(piece: () => T) => T
  readonly onError: (error: unknown) => void
  /** Called when nothing of the callback is left to run; of an iterator that is asked further, again. */
  readonly onEnd: () => void
}

/**
 * What `span.start(name, fn)` gives for a callback that gives `T`: the same, but that generators come back as generators that end the span, and
 * promises of any make as plain ones.
 */
export type RunResult<T> = 0 extends 1 & T
  ? T
  : T extends AsyncGenerator<infer Y, infer R, infer N>
    ? AsyncGenerator<Y, R, N>
    : T extends Generator<infer Y, infer R, infer N>
      ? Generator<Y, R, N>
      : T extends PromiseLike<infer V>
        ? Promise<RunResult<V>>
        : T

/** `unknown` for a callback that gives `any` or `never`, which would fit a promise, too; for all others `never`, which fits nothing. */
export type Untyped<F extends (...args: never) => unknown> = 0 extends 1 & ReturnType<F>
  ? unknown
  : [ReturnType<F>] extends [never]
    ? unknown
    : never

interface AnyIterator {
  next(value?: unknown): unknown
  return?(value?: unknown): unknown
  throw?(error?: unknown): unknown
}

/**
 * Runs a callback to its end: that of its call, of its promise, or of its iteration when it gives a generator or another iterator (by itself or as a
 * promise). What it throws is told and thrown on, unchanged. An iterator that is never touched does not end.
 */
export function runToEnd<T>(callback: () => T, hooks: RunHooks): RunResult<T> {
  let value: unknown
  try {
    value = hooks.run(callback)
  } catch (error) {
    hooks.onError(error)
    hooks.onEnd()
    throw error
  }
  const promise = promiseOf(value, hooks)
  if (promise === undefined) return afterRun(value, hooks) as RunResult<T>
  return promise.then(
    (result) => afterRun(result, hooks),
    (error) => {
      hooks.onError(error)
      hooks.onEnd()
      throw error
    },
  ) as RunResult<T>
}

function afterRun(value: unknown, hooks: RunHooks): unknown {
  if (isIterator(value)) {
    if (iteratesItself(value, Symbol.asyncIterator)) return withMembersOf(value, iterateAsync(value, hooks))
    if (iteratesItself(value, Symbol.iterator)) return withMembersOf(value, iterateSync(value, hooks))
  }
  hooks.onEnd()
  return value
}

/** The promise that a value is, of any make; a query builder begins its work when its `then` is called, which is a part of the span, too. */
function promiseOf(value: unknown, { run }: RunHooks): Promise<unknown> | undefined {
  const then = fieldOf(value, 'then')
  if (typeof then !== 'function') return undefined
  if (then === Promise.prototype.then) return value as Promise<unknown>
  return new Promise((resolve, reject) => run(() => then.call(value, resolve, reject)))
}

/** Arrays, maps and streams can be iterated, too, but are values: only what is being iterated already has `next`. */
function isIterator(value: unknown): value is AnyIterator & object {
  return typeof value === 'object' && value !== null && typeof fieldOf(value, 'next') === 'function'
}

/** The cursor of a database has a `next` of its own, which gives documents, and makes an iterator when it is iterated: it is a value. */
function iteratesItself(
  value: object,
  symbol: typeof Symbol.iterator | typeof Symbol.asyncIterator,
): boolean {
  const iterator = fieldOf(value, symbol)
  if (typeof iterator !== 'function') return false
  try {
    return iterator.call(value) === value
  } catch {
    return false
  }
}

/** Undefined also when looking throws (a proxy): then it is a value like any other. */
function fieldOf(value: unknown, name: PropertyKey): unknown {
  try {
    return (value as Readonly<Record<PropertyKey, unknown>> | null | undefined)?.[name]
  } catch {
    return undefined
  }
}

const SyncPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object
const AsyncPrototype = Object.getPrototypeOf(
  Object.getPrototypeOf(
    Object.getPrototypeOf(
      (async function* () {
        yield 0
      })(),
    ),
  ),
) as object

/** An iterator of a class of its own, such as the stream of a model's client, has further members, which are called as its own. */
function withMembersOf(inner: object, steps: object): object {
  if (/^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(inner))) return steps
  return new Proxy(steps, {
    get: (_steps, key) => {
      if (Reflect.has(steps, key)) return Reflect.get(steps, key)
      const member: unknown = Reflect.get(inner, key)
      return typeof member === 'function' ? member.bind(inner) : member
    },
    has: (_steps, key) => Reflect.has(steps, key) || Reflect.has(inner, key),
    set: (_steps, key, value) => Reflect.set(inner, key, value),
    // It is still an instance of its class.
    getPrototypeOf: () => Reflect.getPrototypeOf(inner),
  })
}

function iterateSync(inner: AnyIterator, hooks: RunHooks): object {
  const step = (piece: () => unknown) => {
    try {
      const result = hooks.run(piece) as IteratorResult<unknown>
      if (result.done === true) hooks.onEnd()
      return result
    } catch (error) {
      hooks.onError(error)
      hooks.onEnd()
      throw error
    }
  }
  return Object.assign(Object.create(SyncPrototype), {
    next: (...sent: [] | [unknown]) => step(() => inner.next(...sent)),
    return: (value?: unknown) => step(() => inner.return?.(value) ?? { value, done: true }),
    throw: (error?: unknown) =>
      step(() => {
        if (inner.throw === undefined) throw error
        return inner.throw(error)
      }),
  })
}

function iterateAsync(inner: AnyIterator, hooks: RunHooks): object {
  const step = async (piece: () => unknown) => {
    try {
      const result = (await hooks.run(piece)) as IteratorResult<unknown>
      if (result.done === true) hooks.onEnd()
      return result
    } catch (error) {
      hooks.onError(error)
      hooks.onEnd()
      throw error
    }
  }
  const close = (value?: unknown) => step(() => inner.return?.(value) ?? { value, done: true })
  return Object.assign(Object.create(AsyncPrototype), {
    next: (...sent: [] | [unknown]) => step(() => inner.next(...sent)),
    return: close,
    throw: (error?: unknown) =>
      step(() => {
        if (inner.throw === undefined) throw error
        return inner.throw(error)
      }),
    [Symbol.asyncDispose]: async () => void (await close()),
  })
}
