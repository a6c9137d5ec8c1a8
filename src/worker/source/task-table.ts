import type { SourcePort } from './source-port.ts'
import type { SourceCounters } from './source-stats.ts'
import { SourceTask, type TaskOwner } from './source-task.ts'

export interface TaskTableDeps {
  readonly topic: string
  readonly port: SourcePort
  readonly counters: SourceCounters
  readonly owner: TaskOwner
}

/** The tasks of the present assignment, and what the client is told of them: where to read, and where not to. */
export class TaskTable {
  readonly #deps: TaskTableDeps
  readonly #tasks = new Map<number, SourceTask>()
  readonly #pauseReasons = new Set<string>()

  constructor(deps: TaskTableDeps) {
    this.#deps = deps
  }

  get(partition: number): SourceTask | undefined {
    return this.#tasks.get(partition)
  }

  /** A copy: tasks may come and go while it is walked. */
  all(): SourceTask[] {
    return [...this.#tasks.values()]
  }

  values(): Iterable<SourceTask> {
    return this.#tasks.values()
  }

  /** True while all partitions are paused. */
  get isPaused(): boolean {
    return this.#pauseReasons.size > 0
  }

  get pauseReasons(): string[] {
    return [...this.#pauseReasons]
  }

  /** The task goes on in a new assignment: the client would begin at the committed offset. */
  keep(task: SourceTask): void {
    this.#deps.counters.kept += 1
    if (task.isJumping) task.mustCommit = true
    task.isJumping = false
    this.seek(task)
  }

  /** A partition without state: it waits for its ledger. */
  gain(partition: number): SourceTask {
    this.#deps.counters.gained += 1
    const task = new SourceTask(this.#deps.topic, partition, this.#deps.owner)
    this.#tasks.set(partition, task)
    return task
  }

  drop(task: SourceTask): void {
    if (this.#tasks.get(task.partition) === task) this.#tasks.delete(task.partition)
    task.lose()
  }

  seek(task: SourceTask): void {
    this.#deps.port.seek(task.partition, task.position)
  }

  pause(reason: string): void {
    this.#pauseReasons.add(reason)
    this.applyPauses(this.#tasks.values())
  }

  resume(reason: string): void {
    this.#pauseReasons.delete(reason)
    this.applyPauses(this.#tasks.values())
  }

  /** Tells the client what changed. */
  applyPauses(tasks: Iterable<SourceTask>): void {
    this.tellPauses([...tasks].filter((task) => task.isAlive && task.isPaused !== this.#shouldPause(task)))
  }

  /** Tells the client everything: its own pauses outlive an assignment. */
  tellPauses(tasks: readonly SourceTask[]): void {
    for (const task of tasks) task.isPaused = this.#shouldPause(task)
    const paused = tasks.filter((task) => task.isPaused).map((task) => task.partition)
    const resumed = tasks.filter((task) => !task.isPaused).map((task) => task.partition)
    if (paused.length > 0) this.#deps.port.pause(paused)
    if (resumed.length > 0) this.#deps.port.resume(resumed)
  }

  #shouldPause(task: SourceTask): boolean {
    return this.#pauseReasons.size > 0 || !task.isReady || task.isBlocked || task.isJumping
  }
}
