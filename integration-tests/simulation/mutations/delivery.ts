import { ASSEMBLE, DELIVER, type Mutation, mutation } from './mutation.ts'

/** Rules of sinks and dead letters. */
export const DELIVERY_MUTATIONS: readonly Mutation[] = [
  // Delivery.
  mutation(
    'payloads not awaited',
    `${DELIVER}deliverer.ts`,
    'return await processor.process(fragments, signal)',
    'void processor.process(fragments, signal)\n        return fragments',
  ),
  mutation(
    'a required sink is not awaited',
    `${DELIVER}deliverer.ts`,
    'const results = await Promise.all(this.#required.map((sink) => sink.write(wanted, signal)))',
    'const results = [await Promise.race(this.#required.map((sink) => sink.write(wanted, signal)))]',
  ),
  mutation(
    'a required sink gives up',
    `${DELIVER}required-sink.ts`,
    'if (signal.aborted) return null\n        this.#failingSinceMs',
    'if (attempt > 1) return []\n        this.#failingSinceMs',
  ),
  {
    name: 'settled without the sinks when the worker stops',
    edits: [
      {
        file: `${DELIVER}deliverer.ts`,
        find: 'if (results.includes(null) || signal.aborted) return NONE',
        replace: '',
      },
      {
        file: `${DELIVER}deliverer.ts`,
        find: 'if (!signal.aborted) for (const shared of done) this.#settle(shared)',
        replace: 'for (const shared of done) this.#settle(shared)',
      },
    ],
  },
  mutation(
    'part of a fragment settled',
    `${DELIVER}deliverer.ts`,
    'task.settle(fragment.records.map((record) => record.offset))',
    'task.settle(fragment.records.slice(1).map((record) => record.offset))',
  ),
  mutation(
    'best-effort sink blocks the required ones',
    `${DELIVER}deliverer.ts`,
    'for (const queue of this.#bestEffort) queue.offer(parts)',
    'for (const queue of this.#bestEffort) queue.offer(parts)\n      for (const queue of this.#bestEffort) await queue.drained()',
  ),
  mutation(
    'losses of a best-effort sink not counted',
    `${DELIVER}best-effort-sink.ts`,
    'this.#options.metrics.countLost(this.sink.name, records)',
    'this.#options.metrics.countLost(this.sink.name, 0 * records)',
  ),
  mutation(
    'undelivered data does not pause reading',
    `${DELIVER}deliverer.ts`,
    "this.#options.gate.pause('undelivered')",
    '',
  ),
  mutation(
    'dead letters of refused records not awaited',
    `${DELIVER}deliverer.ts`,
    'await storeRefused(',
    'void storeRefused(',
  ),
  mutation(
    'bad record settled before its dead letter is stored',
    `${DELIVER}dead-letters.ts`,
    '    this.#waiting.push({ letter, record: this.#recordOf(letter), bytes })\n',
    '    this.#waiting.push({ letter, record: this.#recordOf(letter), bytes })\n    letter.onStored()\n',
  ),
  mutation(
    'dead letters dropped when their topic is away',
    `${DELIVER}dead-letters.ts`,
    '        failures += 1\n',
    '        failures += 1\n        this.#remove(batch)\n',
  ),
  mutation(
    'a registry that is away refuses its schemas',
    `${ASSEMBLE}schema-gate.ts`,
    'if (isRefusal(error)) {',
    'if (isSiderealError(error) && schemaId >= 0) {',
  ),
  mutation(
    'a schema that was refused once is refused for ever',
    `${ASSEMBLE}schema-gate.ts`,
    'if (refusal === undefined || refusal.untilMs < this.#options.clock.monotonicMs()) return undefined',
    'if (refusal === undefined) return undefined',
  ),
]
