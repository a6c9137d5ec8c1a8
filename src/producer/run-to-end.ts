/** What a span that runs a callback has to know of it. */
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
  if (isThenable(value)) {
    return value.then(
      (result) => afterRun(result, hooks),
      (error) => {
        hooks.onError(error)
        hooks.onEnd()
        throw error
      },
    ) as RunResult<T>
  }
  return afterRun(value, hooks) as RunResult<T>
}

function afterRun(value: unknown, hooks: RunHooks): unknown {
  if (isIterator(value)) {
    if (Symbol.asyncIterator in value) return iterateAsync(value, hooks)
    if (Symbol.iterator in value) return iterateSync(value, hooks)
  }
  hooks.onEnd()
  return value
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null)?.then === 'function'
}

/** Arrays, maps and streams can be iterated, too, but are values: only what is being iterated already has `next`. */
function isIterator(value: unknown): value is AnyIterator & object {
  return typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function'
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

function iterateSync(inner: AnyIterator, hooks: RunHooks): unknown {
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

function iterateAsync(inner: AnyIterator, hooks: RunHooks): unknown {
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
