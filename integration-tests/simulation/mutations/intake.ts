import { ASSEMBLE, type Mutation, mutation, SOURCE } from './mutation.ts'

/** Rules of how records come in. */
export const INTAKE_MUTATIONS: readonly Mutation[] = [
  // Intake.
  mutation(
    'jump accepted silently',
    `${SOURCE}intake.ts`,
    'if (batch.fetchedOffset !== task.position) {',
    'if (batch.fetchedOffset < task.position) {',
  ),
  mutation(
    'batch of before a seek taken for a jump',
    `${SOURCE}intake.ts`,
    'if (task === undefined || !this.#isOpen(task) || batch.isStale) return NOTHING_TAKEN',
    'if (task === undefined || !this.#isOpen(task)) return NOTHING_TAKEN',
  ),
  mutation(
    'loss by retention not counted',
    `${SOURCE}intake.ts`,
    'this.#deps.counters.lostByRetention += count',
    'this.#deps.counters.lostByRetention += 0 * count',
  ),
  mutation(
    'loss by retention of a dead worker not counted',
    `${SOURCE}intake.ts`,
    'this.#lost(task, logStart, task.settleGap(committedOffset, logStart))',
    'task.settleGap(committedOffset, logStart)',
  ),
  mutation(
    'log that ends before the position not read again',
    `${SOURCE}intake.ts`,
    '    if (end < task.knownEnd) {\n      this.#beginAgain(task, end)',
    '    if (end < 0) {\n      this.#beginAgain(task, end)',
  ),
  mutation(
    'log that was cut not noticed while nothing is produced',
    `${SOURCE}intake.ts`,
    'if (end < task.knownEnd && !task.isJumping && task.newestReadAtMs < sentAtMs) this.#askWhy(task)',
    '',
  ),
  mutation(
    'loss by retention in a log that is read again not counted',
    `${SOURCE}intake.ts`,
    'if (count > 0) this.#lost(task, logStart, count)',
    '',
  ),
  mutation(
    'rest of a batch taken after reading was paused',
    `${SOURCE}intake.ts`,
    '        if (table.isPaused) {\n          counters.refusedBatches += 1\n          return task.position - 1',
    '        if (table.isPaused && task.position < 0) {\n          counters.refusedBatches += 1\n          return task.position - 1',
  ),
  mutation(
    'batch left before what is hidden at its end',
    `${SOURCE}intake.ts`,
    '        if (!this.#takeRecord(task, record)) return task.position > before ? task.position - 1 : NOTHING_TAKEN\n',
    '        if (!this.#takeRecord(task, record)) return task.position > before ? task.position - 1 : NOTHING_TAKEN\n        if (table.isPaused && task.position <= batch.lastOffset) return task.position - 1\n',
  ),
  mutation(
    'offsets without a record at the end of a batch not settled',
    `${SOURCE}intake.ts`,
    'if (task.position <= batch.lastOffset) this.#skipTo(task, batch.lastOffset + 1)',
    'if (task.position <= batch.lastOffset) task.position = batch.lastOffset + 1',
  ),
  mutation(
    'question of a partition that is not answered not put again',
    `${SOURCE}log-questions.ts`,
    '      this.#repeatLater(question, question.tasks[0]!)\n',
    '',
  ),
  mutation(
    'committed offsets not asked for again',
    `${SOURCE}source-state.ts`,
    'this.#reading.nextAtMs = this.#nowMs() + LEDGER_RETRY_MS',
    '',
  ),
  mutation(
    'record that is unblocked before it is blocked forgotten',
    `${SOURCE}intake.ts`,
    'if (task.unblocks === unblocks) table.applyPauses([task])',
    'if (task.unblocks >= unblocks) table.applyPauses([task])',
  ),
  mutation(
    'offsets without a record not settled',
    `${SOURCE}intake.ts`,
    '    task.position = position\n    task.settleGap(from, position)',
    '    task.position = position\n    void from',
  ),
  mutation(
    'blocked record passed over',
    `${SOURCE}intake.ts`,
    '    task.position = record.offset\n    counters.blocked += 1',
    '    counters.blocked += 1',
  ),
  mutation(
    'quiet clock of a partition that is not read to its end',
    `${SOURCE}intake.ts`,
    'if (end !== task.position || task.streamTimeMs === 0) return',
    'if (task.streamTimeMs === 0) return',
  ),
  mutation(
    'time does not move with settled records',
    `${ASSEMBLE}task-assembler.ts`,
    'onSkipped(record: SourceRecord): void {\n    this.#advanceTo(record.appendTimeMs)',
    'onSkipped(record: SourceRecord): void {',
  ),
]
