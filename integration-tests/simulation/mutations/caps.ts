import { ASSEMBLE, DELIVER, type Mutation, mutation } from './mutation.ts'

/** Rules of the caps on dead letters. */
export const CAP_MUTATIONS: readonly Mutation[] = [
  // Caps on dead letters.
  mutation(
    'caps on dead letters ignored',
    `${DELIVER}dead-letter-caps.ts`,
    'if (cap === undefined) return true',
    'if (cap !== null) return true',
  ),
  mutation(
    'cap on consecutive dead letters ignored',
    `${DELIVER}dead-letter-caps.ts`,
    "if (maxConsecutive > 0 && run >= maxConsecutive) return 'consecutive'",
    '',
  ),
  mutation(
    'cap on the share of dead letters ignored',
    `${DELIVER}dead-letter-caps.ts`,
    "return oldest !== undefined && oldest > position - DEAD_LETTER_WINDOW ? 'ratio' : undefined",
    'return oldest === undefined ? undefined : undefined',
  ),
  mutation(
    'cap off by one',
    `${DELIVER}dead-letter-caps.ts`,
    'run >= maxConsecutive',
    'run > maxConsecutive',
  ),
  mutation(
    'a good record does not end a run of dead letters',
    `${DELIVER}dead-letter-caps.ts`,
    'this.#run = position === this.#lastPosition + 1 ? this.#run + 1 : 1',
    'this.#run += 1',
  ),
  mutation(
    'dead letters of before a stop counted after it',
    `${DELIVER}dead-letter-caps.ts`,
    '    this.#window.fill(Number.NEGATIVE_INFINITY)\n    for',
    '    for',
  ),
  mutation(
    'record at a cap passed over',
    `${ASSEMBLE}task-assembler.ts`,
    "if (!reading.admit({ offset, reason, error }, offset, () => task.unblock())) return 'blocked'",
    "if (!reading.admit({ offset, reason, error }, offset, () => task.unblock())) return 'taken'",
  ),
  mutation(
    'record at a cap never tried again',
    `${DELIVER}dead-letter-caps.ts`,
    'this.#timer = clock.setTimer(tryAgain, backoffMs(this.#attempts, random, backoff))',
    'this.#timer = clock.setTimer(() => undefined, backoffMs(this.#attempts, random, backoff))',
  ),
  mutation(
    'a stop goes on after a good record',
    `${ASSEMBLE}task-assembler.ts`,
    'if (this.#caps.reading.isStopped) this.#caps.reading.release()',
    '',
  ),
  mutation(
    'reading goes on while a partition stands still for refused rows',
    `${ASSEMBLE}task-assembler.ts`,
    'if (refused.isStopped) {',
    'if (refused.isStopped && this.#streamMs < 0) {',
  ),
  mutation(
    'whoever waits for the end of a stop is not called',
    `${DELIVER}dead-letter-caps.ts`,
    'for (const callback of this.#waiting.splice(0)) callback()',
    'this.#waiting.splice(0)',
  ),
  mutation(
    'fragments held at a cap settled',
    `${DELIVER}deliverer.ts`,
    'const done = parts.map(({ shared }) => shared).filter((shared) => !held.has(shared))',
    'const done = parts.map(({ shared }) => shared)',
  ),
  mutation(
    'fragments held at a cap not written when the stop ends',
    `${DELIVER}held-fragments.ts`,
    'if (parts.length > 0) this.#tryAgain(parts)',
    'if (parts.length < 0) this.#tryAgain(parts)',
  ),
  mutation(
    'fragment at a cap never tried again',
    `${DELIVER}held-fragments.ts`,
    '    this.#tryAgain([probe])\n',
    '',
  ),
  mutation(
    'fragments held at a cap forgotten, with their memory, when the worker stops',
    `${DELIVER}deliverer.ts`,
    'for (const { shared } of this.#held.takeAll()) this.#finish(shared)',
    'this.#held.takeAll()',
  ),
]
