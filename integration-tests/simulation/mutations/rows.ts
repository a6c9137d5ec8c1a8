import { type Mutation, mutation } from './mutation.ts'

/** Rules of rows, and of the merge. */
export const ROW_MUTATIONS: readonly Mutation[] = [
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
    'src/sinks/clickhouse/fragment-id.ts',
    '    this.#number(facts.firstReceivedAtMs)\n    this.#number(facts.lastReceivedAtMs)\n',
    '',
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
