import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FragmentFacts } from '../../model/fragment.ts'
import { FragmentIds } from './fragment-id.ts'

const FACTS: FragmentFacts = {
  appId: 'app-1',
  firstReceivedAtMs: 1_790_000_000_000,
  lastReceivedAtMs: 1_790_000_000_500,
  startTimeNs: 1_790_000_000_000_000_000n,
  endTimeNs: 1_790_000_000_250_000_000n,
  traceIds: ['0af7651916cd43dd8448eb211c80319c'],
  services: ['entry', '工作流'],
  rootName: 'POST /chat',
  rootService: 'entry',
  rootStartTimeNs: 1_790_000_000_000_000_001n,
  remoteRoots: [
    { startTimeNs: 1_790_000_000_000_000_001n, name: 'POST /chat', service: 'entry', parentKey: 13n },
  ],
  identities: [{ service: 'entry', uid: 'user-1', chatId: 'chat-1' }],
  spanKeys: new BigUint64Array([1n, 2n ** 64n - 1n]),
  errorKeys: new BigUint64Array([2n ** 64n - 1n]),
  missingParents: new BigUint64Array(),
  traceKeys: new BigUint64Array([7n]),
  rootedTraceKeys: new BigUint64Array([7n]),
  nodes: [
    { key: 3n, version: 5n, isError: false, tokens: { question: 1, prompt: 2, completion: 3, total: 4 } },
  ],
  logs: [],
  nodeIdKeys: new BigUint64Array([9n]),
  announced: [{ logKey: 10n, nodeKey: 11n }],
  endedLogKeys: new BigUint64Array(),
}

const ids = new FragmentIds()

test('a fragment id stays the same from release to release, or a replay would write every fragment twice', () => {
  assert.equal(ids.of('complete', FACTS), 11870872107413060165n)
})
