import type { SeededRandom } from '../../src/audit/seeded-random.ts'
import type { Canaries } from './canaries.ts'
import type { ChaosStack } from './chaos-stack.ts'
import type { Group } from './group.ts'
import type { SupervisedWorker } from './supervised-worker.ts'

export interface FaultContext {
  readonly chaos: ChaosStack
  /** Those that are there all the time. */
  readonly workers: readonly SupervisedWorker[]
  /** One that may come and go. */
  readonly guest: SupervisedWorker
  readonly canaries: Canaries
  readonly group: Group
  readonly random: SeededRandom
  /** Sends again, out of order, what lies in the topic. Gives how many. */
  readonly sendAgain: () => Promise<number>
  readonly say: (line: string) => void
  /** A promise that can be seen broken while the fault is on: the run fails. */
  readonly broken: (what: string) => void
  /** A figure for the report, by its name. */
  readonly measured: (name: string, value: number) => void
}

/** Something that goes wrong for a while. */
export interface Fault {
  readonly name: string
  /** For the report: what exactly is done. */
  readonly about: string
  /** Resolves when the fault is over: from here on its recovery is measured. */
  readonly inject: (context: FaultContext) => Promise<void>
}
