import { DELIVER, type Mutation, mutation, SOURCE } from './mutation.ts'

/** Rules of commits, the ledger, and who may write. */
export const OWNERSHIP_MUTATIONS: readonly Mutation[] = [
  // Commits and ledger.
  mutation(
    'commit before settle',
    `${SOURCE}committer.ts`,
    'const entry = { partition: task.partition, offset: task.watermark, metadata: ledger.metadata }',
    "const entry = { partition: task.partition, offset: task.position, metadata: '' }",
  ),
  mutation(
    'watermark off by one',
    `${SOURCE}committer.ts`,
    'const entry = { partition: task.partition, offset: task.watermark, metadata: ledger.metadata }',
    "const entry = { partition: task.partition, offset: task.watermark + 1, metadata: '' }",
  ),
  mutation(
    'ledger bit of an unsettled record',
    `${SOURCE}ledger.ts`,
    'const next = isSettledRun ? Math.min(to, set.nextUnsettled(at)) : set.nextSettled(at)',
    'const next = isSettledRun ? Math.min(to, set.nextUnsettled(at)) : Math.max(at + 1, set.nextSettled(at) - 1)',
  ),
  mutation(
    'ledger not read on gain',
    `${SOURCE}intake.ts`,
    'const settled = this.#readLedger(task, row.offset, row.metadata)',
    'const settled = this.#readLedger(task, row.offset, null)',
  ),
  {
    name: 'ledger beyond the end of the log believed, at the start and afterwards',
    edits: [
      {
        file: `${SOURCE}intake.ts`,
        find: 'if (begins.settled.end <= end) {',
        replace: 'if (end >= 0) {',
      },
      {
        file: `${SOURCE}source-task.ts`,
        find: 'return Math.max(this.position, this.#settled.end)',
        replace: 'return this.position',
      },
    ],
  },
  mutation(
    'a commit that failed counts as done',
    `${SOURCE}committer.ts`,
    'for (const entry of result.confirmed) {',
    'for (const { entry } of inFlight.tasks.values()) {',
  ),
  mutation(
    'ledger that the broker refuses is not shortened',
    `${SOURCE}committer.ts`,
    'if (result.isMetadataTooLarge) this.#shrink(inFlight.hasPacked)',
    '',
  ),
  mutation(
    'committed row that the client wiped is not written again',
    `${SOURCE}committer.ts`,
    '(task.version !== task.confirmedVersion || task.mustCommit)',
    'task.version !== task.confirmedVersion',
  ),
  mutation(
    'commits while in doubt',
    `${SOURCE}membership.ts`,
    'if (this.#doubtSinceMs !== undefined || this.#memberId === undefined || this.#generation === undefined) {',
    'if (this.#memberId === undefined || this.#generation === undefined) {',
  ),
  mutation(
    'ledger of the former assignment taken for this one',
    `${SOURCE}source-state.ts`,
    'onLedgerRead(assignment: number, rows: readonly CommittedRow[]): void {\n    if (assignment !== this.#assignment || this.#reading === undefined) return',
    'onLedgerRead(assignment: number, rows: readonly CommittedRow[]): void {\n    if (this.#reading === undefined || assignment < 0) return',
  ),
  // Ownership.
  mutation(
    'doubt ignored by sink writes',
    `${SOURCE}source-state.ts`,
    'if (this.#failure !== undefined || this.#membership.doubtSinceMs !== undefined) return false',
    'if (this.#failure !== undefined) return false',
  ),
  mutation(
    'lease ignored by sink writes',
    `${SOURCE}source-state.ts`,
    'if (nowMs - this.#membership.leaseAtMs > LEASE_SHARE * sessionTimeoutMs) return false',
    'if (LEASE_SHARE * sessionTimeoutMs < 0) return false',
  ),
  mutation(
    'doubt never ends but by a join',
    `${SOURCE}membership.ts`,
    'if (this.#doubtSinceMs !== undefined && generation === this.#generation) {',
    'if (this.#doubtSinceMs !== undefined && generation < 0) {',
  ),
  mutation(
    'tasks kept over a generation that was missed',
    `${SOURCE}membership.ts`,
    'const isClean = this.#attempts === 1 && memberId === this.#memberId',
    'const isClean = this.#attempts >= 1',
  ),
  {
    name: 'tasks kept over a generation that was missed, and the row of another not looked at',
    edits: [
      {
        file: `${SOURCE}membership.ts`,
        find: 'const isClean = this.#attempts === 1 && memberId === this.#memberId',
        replace: 'const isClean = this.#attempts >= 1',
      },
      {
        file: `${SOURCE}source-state.ts`,
        find: 'row.offset !== task.confirmedOffset && !task.triedOffsets.has(row.offset)',
        replace: 'row.offset < -5',
      },
    ],
  },
  mutation(
    'kept task read again',
    `${SOURCE}task-table.ts`,
    '    task.isJumping = false\n    this.seek(task)\n',
    '    task.isJumping = false\n',
  ),
  mutation(
    'fragments of a lost partition written',
    `${DELIVER}deliverer.ts`,
    'parts.filter(({ shared }) => shared.delivery.task.isAlive).map(({ fragment }) => fragment)',
    'parts.map(({ fragment }) => fragment)',
  ),
  mutation(
    'doubt ignored by best-effort sinks',
    `${DELIVER}best-effort-sink.ts`,
    'if (!(await waitUntil(this.#options.mayDeliver, clock, signal))) return false',
    '',
  ),
  mutation(
    'heartbeat that tells the generation does not end doubt',
    `${SOURCE}membership.ts`,
    '    this.#generation ??= generation\n',
    '    if (this.#doubtSinceMs === undefined) this.#generation ??= generation\n',
  ),
  mutation(
    'wiped row of a kept task not written again',
    `${SOURCE}source-state.ts`,
    '    } else if (row.offset < 0) {\n      task.mustCommit = true\n',
    '    } else if (row.offset < 0) {\n',
  ),
  mutation(
    'kept task forgets that its log is asked why',
    `${SOURCE}task-table.ts`,
    '    task.isJumping = false\n    this.seek(task)\n',
    '    this.seek(task)\n',
  ),
]
