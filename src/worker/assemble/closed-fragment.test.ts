import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FragmentFacts, NodeFact, RemoteRoot } from '../../model/fragment.ts'
import type { Task } from '../../model/task.ts'
import { ClosedFragment } from './closed-fragment.ts'
import { OpenTrace } from './open-trace.ts'
import { SlabPool } from './slabs.ts'
import type { TraceRecord } from './trace-record.ts'

const NO_KEYS = new BigUint64Array(0)
const EMPTY: FragmentFacts = {
  appId: '',
  firstReceivedAtMs: 0,
  lastReceivedAtMs: 0,
  startTimeNs: 0n,
  endTimeNs: 0n,
  traceIds: [],
  services: [],
  rootName: '',
  rootService: '',
  rootStartTimeNs: 0n,
  remoteRoots: [],
  identities: [],
  spanKeys: NO_KEYS,
  errorKeys: NO_KEYS,
  missingParents: NO_KEYS,
  traceKeys: NO_KEYS,
  rootedTraceKeys: NO_KEYS,
  nodes: [],
  logs: [],
  nodeIdKeys: NO_KEYS,
  announced: [],
  endedLogKeys: NO_KEYS,
}

function times<T>(count: number, value: T): T[] {
  return new Array<T>(count).fill(value)
}

/** What a fragment is charged with beside its records. */
function chargeOf(facts: readonly FragmentFacts[], rowCount = 0): number {
  const trace = new OpenTrace<TraceRecord>('sid-1', 0, false)
  trace.rowCount = rowCount
  return new ClosedFragment({} as Task, trace, 'complete', facts, new SlabPool()).heldBytes
}

test('a fragment is charged with its facts: those of nodes, of what they announce, of roots with long names, and of each app', () => {
  const plain = chargeOf([EMPTY])
  const node: NodeFact = {
    key: 1n,
    version: 1n,
    isError: false,
    tokens: { question: 0, prompt: 0, completion: 0, total: 0 },
  }
  const announced = times(100, { logKey: 1n, nodeKey: 2n })
  const ofNodes = (chargeOf([{ ...EMPTY, nodes: times(100, node), announced }], 100) - plain) / 100
  // Measured: 240 bytes of heap for a node that announces another one.
  assert.ok(ofNodes >= 240 && ofNodes < 300, `${ofNodes} bytes a node`)
  const root = (name: string): RemoteRoot => ({ startTimeNs: 0n, name, service: '', parentKey: 1n })
  const ofRoot = (name: string): number => chargeOf([{ ...EMPTY, remoteRoots: [root(name)] }])
  assert.ok(ofRoot('x') > plain)
  assert.equal(ofRoot('x'.repeat(5_000)) - ofRoot('x'), 4_999)
  assert.ok(chargeOf([EMPTY, EMPTY]) - plain > 1_000)
})
