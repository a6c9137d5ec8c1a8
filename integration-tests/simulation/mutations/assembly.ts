import { ASSEMBLE, type Mutation, mutation } from './mutation.ts'

/** Rules of when traces close, and of memory. */
export const ASSEMBLY_MUTATIONS: readonly Mutation[] = [
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
  // Memory of the process.
  mutation(
    'reading does not pause near the memory limit',
    'src/worker/memory.ts',
    '      onPause(true)\n',
    '',
  ),
  mutation(
    'reading does not go on when memory is back',
    'src/worker/memory.ts',
    '      onPause(false)\n',
    '',
  ),
  mutation(
    'reading does not go on when memory stays between the marks and nothing is left to deliver',
    'src/worker/memory.ts',
    '(this.#isPaused && this.#options.isIdle())',
    'false',
  ),
  mutation(
    'share of open traces not made smaller near the memory limit',
    'src/worker/pipeline.ts',
    '        this.assembly.scaleShare(scale)\n',
    '',
  ),
]
