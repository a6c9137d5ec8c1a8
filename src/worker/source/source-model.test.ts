import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeLedger } from './ledger.ts'
import { type Effect, SourceBench } from './source-for-tests.ts'
import type { CommitRequest } from './source-port.ts'

type Step =
  | { do: 'produce' | 'fetch' | 'settle' | 'retention'; n: number }
  | { do: 'answer'; how: 'all' | 'lost answer' | 'fail' }
  | { do: 'tick' | 'join' | 'join twice' | 'join fails' | 'crash' | 'block' | 'seek astray' }

const n = fc.integer({ min: 1, max: 40 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('produce' as const), n }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('fetch' as const), n }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const), n }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retention' as const), n }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      how: fc.constantFrom('all', 'all', 'all', 'lost answer', 'fail'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('join', 'join twice', 'join fails', 'crash', 'block', 'seek astray'),
    }),
  },
)

/** One partition of a broker, its group, and a client: what can happen between them in any order. */
class Model {
  logStart = 0
  logEnd = 0
  row: { offset: number; metadata: string | null } = { offset: -1, metadata: null }
  generation = 0
  /** What the sinks have, over all lives of the process. */
  readonly stored = new Set<number>()
  bench: SourceBench
  #position = 0
  #isPaused = true
  #open: number[] = []
  #isBlocking = false
  #waiting: Effect[] = []
  readonly #maxLedgerCharacters: number

  constructor(maxLedgerCharacters: number) {
    this.#maxLedgerCharacters = maxLedgerCharacters
    this.bench = this.#newLife()
  }

  async run(action: Step): Promise<void> {
    const { state } = this.bench
    switch (action.do) {
      case 'produce':
        this.logEnd += action.n
        break
      case 'retention':
        this.logStart = Math.min(this.logEnd, this.logStart + action.n)
        break
      case 'fetch':
        this.#fetch(action.n)
        break
      case 'settle':
        this.#settle(action.n)
        break
      case 'answer':
        this.#answer(action.how)
        break
      case 'tick':
        state.onFetch()
        await this.bench.pass(300)
        break
      case 'join':
        state.onJoinStarting()
        this.#join()
        break
      case 'join twice':
        state.onJoinStarting()
        state.onJoinStarting()
        this.#join()
        break
      case 'join fails':
        state.onJoinStarting()
        state.onHeartbeat({ memberId: 'm', generation: this.generation })
        break
      case 'crash':
        this.bench = this.#newLife()
        break
      case 'block':
        this.#isBlocking = true
        break
      case 'seek astray':
        // What kafkajs does of its own accord, once in a while.
        // Not to the very end: then nothing would come that shows it before more is produced.
        this.#position = Math.max(this.logStart, Math.min(this.logEnd - 1, this.#position + 5))
    }
    this.#applyEffects()
    this.#checkCommitted()
  }

  /** Lets everything come to its end: the log is read, stored, settled and committed. */
  async finish(): Promise<void> {
    for (let round = 0; round < 400 && this.committedOffset !== this.logEnd; round++) {
      await this.run({ do: 'answer', how: 'all' })
      await this.run({ do: 'fetch', n: 40 })
      await this.run({ do: 'settle', n: 1_000 })
      await this.run({ do: 'tick' })
    }
  }

  /** Where a new owner would begin. */
  get committedOffset(): number {
    return this.row.offset < 0 ? this.logStart : this.row.offset
  }

  #newLife(): SourceBench {
    const bench = new SourceBench({ maxLedgerCharacters: this.#maxLedgerCharacters, commitIntervalMs: 500 })
    this.bench = bench
    this.#waiting = []
    bench.state.onJoinStarting()
    this.#join()
    return bench
  }

  #join(): void {
    this.generation += 1
    this.#position = this.committedOffset
    const { state, handlers } = this.bench
    state.onGroupJoined({ memberId: 'm', generation: this.generation, partitions: [0] })
    if (handlers.every((handler) => handler.isLost)) this.#open = []
    this.#applyEffects()
  }

  #fetch(count: number): void {
    if (this.#isPaused) return
    if (this.#position < this.logStart) {
      // kafkajs: OffsetOutOfRange wipes the row and goes to the log start.
      this.row = { offset: -2, metadata: '' }
      this.#position = this.logStart
      this.bench.state.onRowWiped(0)
      this.#applyEffects()
      return
    }
    const to = Math.min(this.logEnd, this.#position + count)
    if (to === this.#position) return
    const handler = this.bench.handlers.findLast((other) => !other.isLost)
    if (handler !== undefined) {
      const isBlocking = this.#isBlocking
      this.#isBlocking = false
      handler.answer = ({ offset }) => {
        if (!isBlocking || offset % 7 !== 3) this.#open.push(offset)
        else setImmediate(() => handler.task.unblock())
        return isBlocking && offset % 7 === 3 ? 'blocked' : 'taken'
      }
    }
    const taken = this.bench.batch(0, this.#position, to - 1)
    if (taken >= 0) this.#position = taken + 1
  }

  /** A sink acknowledged some records, in no order. */
  #settle(count: number): void {
    const handler = this.bench.handlers.findLast((other) => !other.isLost)
    if (handler === undefined) return
    const offsets = this.#open.filter((offset, i) => count >= 1_000 || (offset * 31 + i + count) % 3 === 0)
    this.#open = this.#open.filter((offset) => !offsets.includes(offset))
    for (const offset of offsets) this.stored.add(offset)
    handler.task.settle(offsets)
  }

  #answer(how: 'all' | 'lost answer' | 'fail'): void {
    const waiting = this.#waiting
    this.#waiting = []
    const { state } = this.bench
    for (const effect of waiting) {
      if (effect.kind === 'readLedger') {
        if (how === 'fail') state.onLedgerFailed(effect.assignment, new Error('away'))
        else state.onLedgerRead(effect.assignment, [{ partition: 0, ...this.row }])
      } else if (effect.kind === 'listOffsets') {
        const { id, at } = effect.question
        if (how === 'fail') state.onOffsetsFailed(id)
        else state.onOffsets(id, new Map([[0, at === 'earliest' ? this.logStart : this.logEnd]]))
      } else if (effect.kind === 'commit') {
        this.#commit(effect.request, how)
      } else if (effect.kind === 'fatal') {
        // Three jumps in a minute: the supervisor starts the process again.
        assert.match(effect.error.message, /jumped 3 times/)
        this.bench = this.#newLife()
        return
      }
      this.#applyEffects()
    }
  }

  #commit(request: CommitRequest, how: 'all' | 'lost answer' | 'fail'): void {
    const isCurrent = request.generation === this.generation
    const [entry] = request.entries
    if (isCurrent && how !== 'fail' && entry !== undefined) this.row = entry
    this.bench.state.onCommitted(
      request.id,
      isCurrent && how === 'all'
        ? { confirmed: request.entries, error: undefined, isMetadataTooLarge: false }
        : failed,
    )
  }

  #applyEffects(): void {
    const { port } = this.bench
    const effects = port.effects
    port.effects = []
    for (const effect of effects) {
      if (effect.kind === 'seek') this.#position = effect.offset
      else if (effect.kind === 'pause') this.#isPaused = true
      else if (effect.kind === 'resume') this.#isPaused = false
      else this.#waiting.push(effect)
    }
  }

  /** The promise: what is committed was stored, or retention had taken it. */
  #checkCommitted(): void {
    const { offset, metadata } = this.row
    for (let o = this.logStart; o < offset; o++)
      assert.ok(this.stored.has(o), `${o} is committed, not stored`)
    if (offset < 0) return
    const { set } = decodeLedger(metadata, { topic: 't', partition: 0 }, offset)
    for (let o = Math.max(offset, this.logStart); o < set.end; o++) {
      if (set.has(o)) assert.ok(this.stored.has(o), `${o} is in the ledger, not stored`)
    }
  }
}

const failed = { confirmed: [], error: new Error('NOT_COORDINATOR'), isMetadataTooLarge: false }

test('whatever happens in whatever order, nothing is committed that was not stored, and in the end all is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 120 }),
      fc.constantFrom(4_096, 64, 0),
      async (steps, maxLedgerCharacters) => {
        const model = new Model(maxLedgerCharacters)
        for (const action of steps) await model.run(action)
        await model.finish()
        assert.equal(model.committedOffset, model.logEnd)
        for (let offset = model.logStart; offset < model.logEnd; offset++) {
          assert.ok(model.stored.has(offset), `${offset} was lost`)
        }
      },
    ),
    { numRuns: 600 },
  )
})
