import type { Clock } from '../../model/clock.ts'
import type { SourcePort } from './source-port.ts'
import type { SourceTask } from './source-task.ts'

/** Why the log is asked: where a new task may start, whether its ledger is of this log, whether a jump was retention or a shorter log, whether all has been read. */
export type QuestionKind = 'start' | 'start-end' | 'jump-start' | 'jump-end' | 'quiet'

interface OpenQuestion {
  readonly kind: QuestionKind
  readonly tasks: readonly SourceTask[]
  readonly sentAtMs: number
  /** When it was asked first, over all repetitions. */
  readonly sinceMs: number
}

const REPEAT_MS = 500
/** A quiet question that gets no answer for so long no longer holds back the next. */
const FORGET_QUIET_MS = 5_000

export type AnswerHandler = (kind: QuestionKind, task: SourceTask, offset: number, sentAtMs: number) => void

/**
 * Questions to the leaders of partitions (ListOffsets). One that fails makes the client look for new leaders, and is then put
 * again, partition by partition, so that one without a leader does not keep the answers from all others.
 */
export class LogQuestions {
  readonly #clock: Clock
  readonly #port: SourcePort
  readonly #onAnswer: AnswerHandler
  readonly #open = new Map<number, OpenQuestion>()
  #repeats: { atMs: number; question: OpenQuestion }[] = []
  #lastId = 0

  constructor(clock: Clock, port: SourcePort, onAnswer: AnswerHandler) {
    this.#clock = clock
    this.#port = port
    this.#onAnswer = onAnswer
  }

  ask(kind: QuestionKind, tasks: readonly SourceTask[]): number {
    return this.#send({ kind, tasks, sentAtMs: 0, sinceMs: this.#clock.monotonicMs() })
  }

  onOffsets(id: number, offsets: ReadonlyMap<number, number>): void {
    const question = this.#open.get(id)
    if (question === undefined) return
    this.#open.delete(id)
    for (const task of question.tasks) {
      const offset = offsets.get(task.partition)
      if (!task.isAlive) continue
      if (offset === undefined) this.#repeatLater(question, task)
      else this.#onAnswer(question.kind, task, offset, question.sentAtMs)
    }
  }

  onFailed(id: number): void {
    const question = this.#open.get(id)
    if (question === undefined) return
    this.#open.delete(id)
    this.#port.refreshMetadata()
    if (question.tasks.length > 1) {
      for (const task of question.tasks) this.#send({ ...question, tasks: [task] })
    } else {
      this.#repeatLater(question, question.tasks[0]!)
    }
  }

  /** After a join the questions of before have no meaning. */
  clear(): void {
    this.#open.clear()
    this.#repeats = []
  }

  tick(nowMs: number): void {
    if (this.#repeats.length > 0) {
      const due = this.#repeats.filter(({ atMs }) => atMs <= nowMs)
      this.#repeats = this.#repeats.filter(({ atMs }) => atMs > nowMs)
      for (const { question } of due) if (question.tasks[0]!.isAlive) this.#send(question)
    }
    for (const [id, question] of this.#open) {
      if (question.kind === 'quiet' && nowMs - question.sentAtMs > FORGET_QUIET_MS) this.#open.delete(id)
    }
  }

  get hasQuietQuestion(): boolean {
    for (const question of this.#open.values()) if (question.kind === 'quiet') return true
    return false
  }

  /** Since when the oldest question waits on which a partition stands still. */
  waitingSinceMs(): number | undefined {
    let oldest: number | undefined
    const all = [...this.#open.values(), ...this.#repeats.map(({ question }) => question)]
    for (const { kind, sinceMs } of all) {
      if (kind !== 'quiet' && (oldest === undefined || sinceMs < oldest)) oldest = sinceMs
    }
    return oldest
  }

  #send(question: OpenQuestion): number {
    const id = ++this.#lastId
    this.#open.set(id, { ...question, sentAtMs: this.#clock.monotonicMs() })
    const at = question.kind === 'start' || question.kind === 'jump-start' ? 'earliest' : 'latest'
    this.#port.listOffsets({ id, at, partitions: question.tasks.map((task) => task.partition) })
    return id
  }

  #repeatLater(question: OpenQuestion, task: SourceTask): void {
    if (question.kind === 'quiet') return
    const atMs = this.#clock.monotonicMs() + REPEAT_MS
    this.#repeats.push({ atMs, question: { ...question, tasks: [task] } })
  }
}
