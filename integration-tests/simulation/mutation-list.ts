/** A text that is in a file exactly once, and what stands there in the mutant. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Mutation {
  /** The rule that is taken out, in words. */
  readonly name: string
  readonly edits: readonly Edit[]
}

const SOURCE = 'src/worker/source/'
const ASSEMBLE = 'src/worker/assemble/'
const DELIVER = 'src/worker/deliver/'

function mutation(name: string, file: string, find: string, replace: string): Mutation {
  return { name, edits: [{ file, find, replace }] }
}

/** Each rule of the worker (design of source, assembly, delivery, merge) and a version of the code without it. */
export const MUTATIONS: readonly Mutation[] = [
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
  mutation(
    'ledger beyond the end of the log believed',
    `${SOURCE}intake.ts`,
    'if (begins.settled.end <= end) {',
    'if (end >= 0) {',
  ),
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
    '} else if (generation === this.#generation) {',
    '} else if (generation < 0) {',
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
    'processed.filter((fragment) => deliveries.get(fragment)?.delivery.task.isAlive === true)',
    'processed.filter((fragment) => deliveries.has(fragment))',
  ),
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
  // Closing.
  mutation(
    'quiet time ignored',
    `${ASSEMBLE}trace-table.ts`,
    'quiet.lastMs + rules.quietMs',
    'quiet.lastMs + rules.quietMs / 2',
  ),
  mutation(
    'completeness not looked at',
    `${ASSEMBLE}trace-table.ts`,
    "const completeness = trace.isLate ? 'late' : this.#options.judge(trace)",
    "this.#options.judge(trace)\n    const completeness = 'complete' as Completeness",
  ),
  mutation(
    'age of a trace without limit',
    `${ASSEMBLE}trace-table.ts`,
    'oldest.firstMs + rules.maxAgeMs',
    'oldest.firstMs + rules.maxAgeMs * 100',
  ),
  mutation(
    'span limit ignored',
    `${ASSEMBLE}trace-table.ts`,
    'trace.rowCount + record.rowCount > rules.maxRows',
    'trace.rowCount > rules.maxRows * 1000',
  ),
  mutation(
    'late fragment dropped',
    `${ASSEMBLE}trace-table.ts`,
    'this.#options.onClose(trace, reason)',
    "if (reason !== 'late') this.#options.onClose(trace, reason)",
  ),
  mutation(
    'memory pressure closes nothing',
    `${ASSEMBLE}assembly.ts`,
    'if (this.#openBytes <= share || this.#isRelieving) return',
    'if (this.#openBytes <= share || !this.#isRelieving) return',
  ),
  mutation(
    'shutdown closes open traces',
    'src/worker/pipeline.ts',
    'async drained(): Promise<void> {\n',
    'async drained(): Promise<void> {\n    this.assembly.scaleShare(0)\n',
  ),
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
        find: 'if (!results.includes(null)) {',
        replace: 'if (results.length >= 0) {',
      },
      {
        file: `${DELIVER}deliverer.ts`,
        find: 'if (!signal.aborted) for (const shared of alive) this.#settle(shared)',
        replace: 'for (const shared of alive) this.#settle(shared)',
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
    'queue.offer([...deliveries].map(([fragment, shared]) => ({ fragment, shared })))',
    'queue.offer([...deliveries].map(([fragment, shared]) => ({ fragment, shared })))\n        await queue.drained()',
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
    'await storeRefused(deliveries, refused, this.#options.deadLetters, signal)',
    'void storeRefused(deliveries, refused, this.#options.deadLetters, signal)',
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
  // Rows and the merge.
  mutation(
    'fragment row before its spans',
    'src/sinks/clickhouse/sink.ts',
    `    await this.#writeRecords(
      fragments.flatMap((fragment) => fragment.records),
      RECORD_TABLES,
      refusals,
      signal,
    )
    await this.#writeFragments(fragments, refusals, signal)`,
    `    await this.#writeFragments(fragments, refusals, signal)
    await this.#writeRecords(
      fragments.flatMap((fragment) => fragment.records),
      RECORD_TABLES,
      refusals,
      signal,
    )`,
  ),
  mutation(
    'refused row drops its fragment',
    'src/sinks/clickhouse/sink.ts',
    'if (!fragment.records.some((record) => refusals.has(record))) return fragment.facts',
    'if (!fragment.records.some((record) => refusals.has(record))) return fragment.facts\n    if (refusals.size > 0) return []',
  ),
  mutation(
    'fragment row keeps refused records',
    'src/sinks/clickhouse/sink.ts',
    'if (!fragment.records.some((record) => refusals.has(record))) return fragment.facts',
    'if (refusals.size >= 0) return fragment.facts',
  ),
  mutation(
    'order of revisions ignored',
    'src/model/version.ts',
    'return (BigInt(high) << 48n) | BigInt(low)',
    'return (BigInt(0 * high) << 48n) | BigInt(low)',
  ),
  mutation(
    'fragment id without its times',
    'src/sinks/clickhouse/fragment-rows.ts',
    '    facts.appId,\n    facts.firstReceivedAtMs,\n    facts.lastReceivedAtMs,',
    '    facts.appId,',
  ),
  mutation(
    'nodes counted once a fragment, not once (merge: sums instead of sets)',
    'integration-tests/simulation/trace-view.ts',
    'const nodes = newest(fragments.flatMap((facts) => facts.nodes))',
    'const nodes = fragments.flatMap((facts) => facts.nodes)',
  ),
  mutation(
    'spans counted once a fragment, not once (merge: sums instead of sets)',
    'integration-tests/simulation/trace-view.ts',
    'spanCount: spans.size,',
    'spanCount: fragments.reduce((sum, { spanKeys }) => sum + spanKeys.length, 0),',
  ),
  mutation(
    "missing parents of a fragment taken for the trace's (merge: no set difference)",
    'integration-tests/simulation/trace-view.ts',
    'const missingParents = except(unite(fragments.map((facts) => facts.missingParents)), spans)',
    'const missingParents = except(unite(fragments.map((facts) => facts.missingParents)), new Set())',
  ),
]
