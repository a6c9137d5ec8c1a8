import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeLedger } from './ledger.ts'
import { SettledSet } from './settled-set.ts'
import { SourceBench } from './source-for-tests.ts'

/** The metadata string of a commit at `watermark` with the given offsets settled above it. */
function ledgerOf(partition: number, watermark: number, settled: number[]): string {
  const set = new SettledSet(watermark)
  set.settle(settled)
  return encodeLedger(set, { topic: 't', partition }, { maxCharacters: 4_096, mayPack: true }).metadata
}

test('a new partition is not read before its ledger is known, and starts at the watermark', () => {
  const bench = new SourceBench()
  bench.join([0])
  assert.deepEqual(bench.port.take('pause'), [{ kind: 'pause', partitions: [0] }])
  assert.equal(bench.batch(0, 7, 9), -1)
  bench.answerLedger([{ partition: 0, offset: 7, metadata: ledgerOf(0, 7, [8]) }])
  bench.answerOffsets(0)
  bench.answerOffsets(10)
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 7 }])
  assert.deepEqual(bench.port.take('resume'), [{ kind: 'resume', partitions: [0] }])
  assert.equal(bench.batch(0, 7, 9), 9)
  assert.deepEqual(bench.handler(0).taken, [7, 9])
  assert.deepEqual(bench.handler(0).skipped, [8])
  assert.equal(bench.handler(0).task.streamTimeMs, 5_000)
})

test('a metadata string that cannot be read costs repeated work, and is counted', () => {
  const bench = new SourceBench()
  bench.join([0])
  bench.answerLedger([{ partition: 0, offset: 7, metadata: 'of another tool' }])
  bench.answerOffsets(0)
  bench.batch(0, 7, 9)
  assert.deepEqual(bench.handler(0).taken, [7, 8, 9])
  assert.equal(bench.state.stats().ledgersIgnored, 1)
})

test('the commit is the lowest unsettled offset, with the settled ones above it in the metadata', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1, 4, 5])
  await bench.pass(1_100)
  const [entry] = bench.confirm().entries
  assert.deepEqual(entry, { partition: 0, offset: 2, metadata: ledgerOf(0, 2, [4, 5]) })
  await bench.pass(3_000)
  assert.deepEqual(bench.port.take('commit'), [], 'nothing changed since')
})

test('offsets that were not read cannot be settled, whoever asks', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 3)
  bench.handler(0).task.settle([0, 1, 2, 3, 4, 5])
  await bench.pass(1_100)
  assert.equal(bench.confirm().entries[0]?.offset, 4)
})

test('in doubt nothing is delivered or committed, but records are taken; the join ends it', async () => {
  const bench = new SourceBench()
  bench.open([0])
  assert.equal(bench.state.mayDeliver(), true)
  bench.state.onJoinStarting()
  assert.equal(bench.state.mayDeliver(), false)
  assert.equal(bench.batch(0, 0, 9), 9)
  bench.handler(0).task.settle([0, 1, 2])
  await bench.pass(2_000)
  assert.deepEqual(bench.port.take('commit'), [])
  bench.state.onGroupJoined({ memberId: 'm', generation: 2, partitions: [0] })
  assert.equal(bench.state.mayDeliver(), true)
})

test('a join that fails is over with a heartbeat of the same member and generation, and with no other', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.state.onJoinStarting()
  bench.state.onHeartbeat({ memberId: 'm', generation: 2 })
  assert.equal(bench.state.mayDeliver(), false)
  bench.state.onHeartbeat({ memberId: 'other', generation: 1 })
  assert.equal(bench.state.mayDeliver(), false)
  bench.state.onHeartbeat({ memberId: 'm', generation: 1 })
  assert.equal(bench.state.mayDeliver(), true)
})

test('a join that fails before the first heartbeat has told the generation is over with that heartbeat', () => {
  const bench = new SourceBench()
  bench.state.onJoinStarting()
  bench.state.onGroupJoined({ memberId: 'm', generation: undefined, partitions: [0] })
  bench.state.onJoinStarting()
  bench.state.onHeartbeat({ memberId: 'other', generation: 1 })
  assert.equal(bench.state.mayDeliver(), false)
  bench.state.onHeartbeat({ memberId: 'm', generation: 1 })
  assert.equal(bench.state.mayDeliver(), true)
  bench.state.onJoinStarting()
  bench.state.onHeartbeat({ memberId: 'm', generation: 2 })
  assert.equal(bench.state.mayDeliver(), false)
})

test('a kept partition goes on where it was; a lost one is forgotten, a gained one waits for its ledger', () => {
  const bench = new SourceBench()
  bench.open([0, 1])
  bench.batch(0, 0, 9)
  bench.batch(1, 0, 4)
  const [kept, lost] = [bench.handler(0), bench.handler(1)]
  bench.join([0, 2], 'm', 2)
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 10 }])
  assert.deepEqual(bench.port.take('pause'), [{ kind: 'pause', partitions: [2] }])
  assert.deepEqual(bench.port.take('resume'), [{ kind: 'resume', partitions: [0] }])
  assert.equal(lost.isLost, true)
  assert.equal(lost.task.isAlive, false)
  assert.equal(lost.task.lost.aborted, true)
  lost.task.settle([0, 1])
  assert.equal(bench.batch(0, 10, 12), 12)
  assert.equal(kept.taken.length, 13)
})

test('state is not kept when a generation may have passed without us', () => {
  for (const rejoin of [
    (bench: SourceBench) => {
      bench.state.onJoinStarting()
      bench.join([0], 'm', 3)
    },
    (bench: SourceBench) => bench.join([0], 'another', 2),
  ]) {
    const bench = new SourceBench()
    bench.open([0])
    bench.batch(0, 0, 9)
    const before = bench.handler(0)
    rejoin(bench)
    assert.equal(before.isLost, true)
    assert.equal(bench.batch(0, 10, 12), -1)
  }
})

test('a kept partition whose committed row is not ours is read anew from that row', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  const before = bench.handler(0)
  before.task.settle([0, 1])
  await bench.pass(1_100)
  bench.confirm()
  bench.join([0], 'm', 2)
  bench.answerLedger([{ partition: 0, offset: 2, metadata: '' }])
  assert.equal(before.isLost, false)
  bench.join([0], 'm', 3)
  bench.answerLedger([{ partition: 0, offset: 6, metadata: '' }])
  assert.equal(before.isLost, true)
  bench.answerOffsets(0)
  bench.batch(0, 6, 9)
  assert.deepEqual(bench.handler(0).taken, [6, 7, 8, 9])
})

test('a commit whose answer never came is still known when the rows are read', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1, 2])
  await bench.pass(1_100)
  bench.port.take('commit')
  bench.join([0], 'm', 2)
  bench.answerLedger([{ partition: 0, offset: 3, metadata: '' }])
  assert.equal(bench.handler(0).isLost, false)
})

test('a ledger read of an earlier assignment is ignored, a failed one is repeated', async () => {
  const bench = new SourceBench()
  bench.join([0])
  const [old] = bench.port.take('readLedger')
  bench.join([0, 1], 'm', 2)
  bench.state.onLedgerRead(old!.assignment, [{ partition: 0, offset: 3, metadata: '' }])
  assert.deepEqual(bench.port.take('listOffsets'), [])
  const [request] = bench.port.take('readLedger')
  bench.state.onLedgerFailed(request!.assignment, new Error('coordinator away'))
  await bench.pass(400)
  assert.deepEqual(bench.port.take('readLedger')[0]?.partitions, [0, 1])
})

test('an answer that lacks a partition is a failed read: it is asked again, and every partition opens', async () => {
  const bench = new SourceBench()
  bench.join([0, 1])
  bench.answerLedger([{ partition: 0, offset: -1, metadata: null }])
  assert.deepEqual(bench.port.take('listOffsets'), [])
  await bench.pass(400)
  bench.answerLedger([0, 1].map((partition) => ({ partition, offset: -1, metadata: null })))
  bench.answerOffsets(0)
  for (const partition of [0, 1]) {
    bench.batch(partition, 0, 2)
    assert.deepEqual(bench.handler(partition).taken, [0, 1, 2])
  }
})

test('a batch that begins elsewhere is not taken: the log says whether records were deleted', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1])
  assert.equal(bench.batch(0, 50, 59), -1)
  assert.equal(bench.batch(0, 50, 59), -1, 'not while the question is open')
  assert.equal(bench.answerOffsets(50), 1)
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 50 }])
  assert.equal(bench.state.stats().lostByRetention, 40)
  assert.equal(bench.port.take('commit').length, 1, 'committed at once: the client may have wiped the row')
  assert.equal(bench.batch(0, 50, 59), 59)
  assert.equal(bench.state.stats().tasks[0]?.watermark, 2, 'what was read and is open stays open')
})

test('a jump without a reason in the log is sought back, and the third in a minute ends the process', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  for (let jump = 1; jump <= 3; jump++) {
    assert.equal(bench.batch(0, 5, 9), -1)
    bench.answerOffsets(0)
    bench.answerOffsets(10)
    if (jump < 3) assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 10 }])
    await bench.pass(1_000)
  }
  const [fatal] = bench.port.take('fatal')
  assert.equal(fatal?.error.code, 'SIDEREAL_SOURCE_LOST')
  assert.match(fatal.error.message, /jumped 3 times/)
  assert.equal(bench.state.mayDeliver(), false)
})

test('a log that ends before what was read is read again from its start', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 99)
  const before = bench.handler(0)
  assert.equal(bench.batch(0, 0, 4), -1)
  bench.answerOffsets(0)
  bench.answerOffsets(5)
  assert.equal(before.isLost, true)
  bench.answerOffsets(0)
  assert.equal(bench.batch(0, 0, 4), 4)
  assert.equal(bench.state.stats().truncations, 1)
})

test('a log that is read again, and has lost what was read and not settled, says how much', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1, 4])
  assert.equal(bench.batch(0, 0, 4), -1)
  bench.answerOffsets(0)
  bench.answerOffsets(8)
  bench.answerOffsets(6)
  // 2, 3 and 5 are gone; 6 and 7 come again; 8 and 9 were cut.
  assert.equal(bench.state.stats().lostByRetention, 3)
  assert.equal(bench.batch(0, 6, 7), 7)
})

test('a topic that was created anew is read from its start, though its log goes on where the former one ended', async () => {
  const bench = new SourceBench()
  bench.open([0, 1])
  bench.batch(0, 0, 99)
  const before = bench.handler(0)
  before.task.settle([0, 1, 2])
  bench.state.onTopicCreatedAnew()
  assert.equal(before.isLost, true)
  assert.equal(bench.batch(0, 100, 120), -1, 'what comes from the middle is not taken any more')
  bench.answerOffsets(0)
  assert.deepEqual(
    bench.port.take('seek').map(({ partition, offset }) => [partition, offset]),
    [
      [0, 0],
      [1, 0],
    ],
  )
  assert.equal(bench.batch(0, 0, 120), 120)
  const committed = [...bench.confirm().entries, ...bench.confirm().entries]
  assert.deepEqual(
    committed.map(({ partition, offset }) => [partition, offset]),
    [
      [0, 0],
      [1, 0],
    ],
    'the offsets of the former topic are committed no longer',
  )
})

test('a row that the client has wiped is committed again, though no batch began elsewhere and nothing changed since', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1, 4])
  await bench.pass(1_100)
  const { entries } = bench.confirm()
  const wipe = () => {
    bench.port.effects = []
    bench.state.onRowWiped(0)
    assert.deepEqual(bench.port.take('pause'), [{ kind: 'pause', partitions: [0] }])
    bench.answerOffsets(0)
    bench.answerOffsets(10)
    assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 10 }])
    assert.deepEqual(bench.port.take('resume'), [{ kind: 'resume', partitions: [0] }])
  }
  wipe()
  const [again] = bench.port.take('commit')
  assert.deepEqual(again?.request.entries, entries)
  // Wiped once more while the answer is on its way: that says nothing of the row.
  wipe()
  bench.confirmRequest(again!.request)
  assert.deepEqual(bench.confirm().entries, entries)
  bench.state.onRowWiped(7)
  await bench.pass(1_100)
  assert.deepEqual(bench.port.take('commit'), [])
})

test('a kept task whose row is gone from the group commits it again, though nothing changed', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1, 4])
  await bench.pass(1_100)
  const { entries } = bench.confirm()
  bench.join([0], 'm', 2)
  bench.answerLedger([{ partition: 0, offset: -2, metadata: '' }])
  await bench.pass(1_100)
  assert.deepEqual(bench.confirm().entries, entries)
  assert.equal(bench.handler(0).isLost, false)
})

test('records that retention deleted unread are gone over when the offset is out of range, before any batch has come', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.state.onRowWiped(0)
  assert.equal(bench.answerOffsets(30), 1)
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 30 }])
  assert.equal(bench.port.take('commit').length, 1)
  assert.equal(bench.batch(0, 30, 31), 31)
  assert.equal(bench.state.stats().lostByRetention, 20)
})

test('what was not settled of a topic that is gone is not counted as lost by the retention of the one that came after it', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0, 1])
  bench.state.onTopicCreatedAnew()
  bench.answerOffsets(6)
  assert.equal(bench.state.stats().lostByRetention, 0)
  assert.equal(bench.batch(0, 6, 7), 7)
})

test('a partition that is read again from its start is so whatever the group says, until it has committed: that is of the former log', () => {
  const former = [{ partition: 0, offset: 8, metadata: null }]
  const begin = () => {
    const bench = new SourceBench()
    bench.open([0])
    bench.batch(0, 0, 9)
    bench.join([0], 'm', 2)
    return bench
  }
  const isReadFromStart = (bench: SourceBench) => {
    bench.answerOffsets(0)
    assert.equal(bench.state.stats().tasks[0]?.position, 0)
    assert.equal(bench.batch(0, 0, 120), 120)
    bench.confirm()
  }

  const early = begin()
  early.state.onTopicCreatedAnew()
  early.answerLedger(former)
  isReadFromStart(early)

  const late = begin()
  late.state.onTopicCreatedAnew()
  late.answerOffsets(0)
  late.answerLedger(former)
  isReadFromStart(late)

  for (const memberId of ['m', 'another']) {
    const joined = begin()
    joined.answerLedger([{ partition: 0, offset: -1, metadata: null }])
    joined.state.onTopicCreatedAnew()
    joined.join([0], memberId, 3)
    joined.answerLedger(former)
    isReadFromStart(joined)
    joined.join([0], memberId, 4)
    joined.answerLedger([{ partition: 0, offset: 90, metadata: null }])
    joined.answerOffsets(0)
    assert.equal(joined.state.stats().tasks[0]?.position, 90, 'it has committed since')
  }
})

test('a kept task whose committed row is told late, from before its first commit, goes on', async () => {
  const bench = new SourceBench()
  bench.join([0])
  bench.answerLedger([{ partition: 0, offset: 6, metadata: null }])
  bench.answerOffsets(0)
  bench.batch(0, 6, 12)
  const handler = bench.handler(0)
  bench.join([0], 'm', 2)
  handler.task.settle([6, 7, 8, 9, 10, 11, 12])
  await bench.pass(1_100)
  assert.deepEqual(bench.confirm().entries, [{ partition: 0, offset: 13, metadata: '' }])
  bench.answerLedger([{ partition: 0, offset: 6, metadata: null }])
  assert.equal(handler.isLost, false)
  assert.equal(bench.batch(0, 13, 15), 15)
})

test('a log that was cut is noticed while nothing is produced: records that come later are read', async () => {
  const bench = new SourceBench({ quietPollMs: 500 })
  bench.open([0])
  bench.batch(0, 0, 99)
  const before = bench.handler(0)
  await bench.pass(1_000)
  bench.answerOffsets(5)
  bench.answerOffsets(0)
  bench.answerOffsets(5)
  assert.equal(before.isLost, true)
  bench.answerOffsets(0)
  assert.equal(bench.batch(0, 0, 199), 199)
  assert.equal(bench.handler(0).taken.length, 200)
})

test('a log that was cut within what its ledger names is noticed', async () => {
  const bench = new SourceBench({ quietPollMs: 500 })
  bench.join([0])
  bench.answerLedger([{ partition: 0, offset: 7, metadata: ledgerOf(0, 7, [9, 10]) }])
  bench.answerOffsets(0)
  bench.answerOffsets(11)
  bench.batch(0, 7, 8)
  const before = bench.handler(0)
  await bench.pass(1_000)
  bench.answerOffsets(9)
  bench.answerOffsets(0)
  bench.answerOffsets(9)
  assert.equal(before.isLost, true)
  bench.answerOffsets(0)
  bench.batch(0, 0, 10)
  assert.deepEqual(bench.handler(0).taken.slice(-2), [9, 10])
})

test('an end that was asked for before the last batch came does not count as a cut', async () => {
  const bench = new SourceBench({ quietPollMs: 500 })
  bench.open([0])
  bench.batch(0, 0, 4)
  await bench.pass(1_000)
  bench.batch(0, 5, 9)
  bench.answerOffsets(5)
  assert.deepEqual(bench.port.take('listOffsets'), [])
  assert.equal(bench.batch(0, 10, 12), 12)
})

test('a ledger that names offsets beyond the end of the log is not believed: other records will come there', () => {
  const bench = new SourceBench()
  bench.join([0])
  bench.answerLedger([{ partition: 0, offset: 7, metadata: ledgerOf(0, 7, [8, 12]) }])
  bench.answerOffsets(0)
  bench.answerOffsets(9)
  assert.deepEqual(
    bench.confirm().entries,
    [{ partition: 0, offset: 7, metadata: '' }],
    'nor by the next owner',
  )
  bench.batch(0, 7, 13)
  assert.deepEqual(bench.handler(0).taken, [7, 8, 9, 10, 11, 12, 13])
  assert.equal(bench.state.stats().truncations, 1)
})

test('holes in the offsets do not hold the watermark', async () => {
  const bench = new SourceBench()
  bench.open([0])
  const record = (offset: number) => ({ offset, appendTimeMs: 1, key: null, value: null, headers: {} })
  bench.state.onBatch({
    partition: 0,
    fetchedOffset: 0,
    lastOffset: 9,
    highWatermark: 10,
    records: [record(3), record(7)],
    isStale: false,
  })
  bench.handler(0).task.settle([3, 7])
  assert.equal(bench.hiddenBatch(0, 10, 12), 12)
  await bench.pass(1_100)
  assert.equal(bench.confirm().entries[0]?.offset, 13)
})

test('a batch that shows no record is taken only where the last one ended: what lies between was never read', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  assert.equal(bench.hiddenBatch(0, 10, 12, { isStale: true }), -1, 'it is of before a seek')
  assert.equal(bench.state.stats().tasks[0]?.position, 10)
  assert.equal(bench.hiddenBatch(0, 30, 40), -1, 'it began elsewhere')
  bench.answerOffsets(0)
  bench.answerOffsets(50)
  assert.equal(bench.state.stats().tasks[0]?.position, 10)
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 10 }])
  assert.equal(bench.hiddenBatch(0, 10, 40), 40)
  assert.equal(bench.batch(0, 41, 45), 45)
})

test('records that retention took before a stretch that shows none are counted as lost', () => {
  const bench = new SourceBench()
  bench.join([0])
  bench.answerLedger([{ partition: 0, offset: 10, metadata: null }])
  bench.answerOffsets(0)
  assert.equal(bench.hiddenBatch(0, 30, 40), -1)
  assert.equal(bench.answerOffsets(30), 1)
  assert.equal(bench.state.stats().lostByRetention, 20)
  assert.equal(bench.state.stats().tasks[0]?.position, 30)
})

test('a blocked record is handed over again after unblock, nothing after it before', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.handler(0).answer = ({ offset }) => (offset === 4 ? 'blocked' : 'taken')
  assert.equal(bench.batch(0, 0, 9), 3)
  assert.deepEqual(bench.port.take('pause'), [{ kind: 'pause', partitions: [0] }])
  assert.equal(bench.batch(0, 4, 9), -1)
  bench.handler(0).answer = () => 'taken'
  bench.handler(0).task.unblock()
  assert.deepEqual(bench.port.take('seek'), [{ kind: 'seek', partition: 0, offset: 4 }])
  assert.deepEqual(bench.port.take('resume'), [{ kind: 'resume', partitions: [0] }])
  assert.equal(bench.batch(0, 4, 9), 9)
  assert.deepEqual(bench.handler(0).taken, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('unblock before onRecord has answered is not lost', () => {
  const bench = new SourceBench()
  bench.open([0])
  const handler = bench.handler(0)
  handler.answer = () => {
    handler.task.unblock()
    return 'blocked'
  }
  assert.equal(bench.batch(0, 0, 9), -1)
  handler.answer = () => 'taken'
  assert.equal(bench.batch(0, 0, 9), 9)
})

test('what still comes while reading is paused is left, from the record on that filled the memory, and comes again', () => {
  const bench = new SourceBench()
  bench.open([0, 1])
  bench.handler(0).answer = ({ offset }) => {
    if (offset === 2) bench.state.pause('memory')
    return 'taken'
  }
  assert.equal(bench.batch(0, 0, 5), 2, 'offsets 3 to 5 are fetched again')
  assert.equal(bench.batch(1, 0, 5), -1, 'another partition of the same fetch')
  assert.deepEqual([bench.handler(0).taken, bench.handler(1).taken], [[0, 1, 2], []])
  bench.state.resume('memory')
  assert.equal(bench.batch(0, 3, 5), 5)
  assert.equal(bench.batch(1, 0, 5), 5)
  assert.deepEqual([bench.handler(0).taken.length, bench.handler(1).taken.length], [6, 6])
  const { jumps, refusedBatches, records } = bench.state.stats()
  assert.deepEqual({ jumps, refusedBatches, records }, { jumps: 0, refusedBatches: 2, records: 12 })
})

test('a batch whose last record fills the memory is taken to its end: what lies behind it is not shown, and the client goes on there', () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.handler(0).answer = ({ offset }) => {
    if (offset === 5) bench.state.pause('memory')
    return 'taken'
  }
  assert.equal(bench.batch(0, 0, 5, 0, 7), 7)
  assert.equal(bench.state.stats().tasks[0]?.position, 8)
  bench.state.resume('memory')
  assert.equal(bench.batch(0, 8, 9), 9)
  const { jumps, refusedBatches } = bench.state.stats()
  assert.deepEqual({ jumps, refusedBatches }, { jumps: 0, refusedBatches: 0 })
})

test('pausing has reasons: the last one taken back resumes, and a blocked partition stays paused', () => {
  const bench = new SourceBench()
  bench.open([0, 1])
  bench.handler(1).answer = () => 'blocked'
  bench.batch(1, 0, 0)
  bench.port.effects = []
  bench.state.pause('memory')
  bench.state.pause('sink')
  bench.state.resume('memory')
  assert.deepEqual(bench.port.take('resume'), [])
  bench.state.resume('sink')
  assert.deepEqual(bench.port.take('pause'), [{ kind: 'pause', partitions: [0] }])
  assert.deepEqual(bench.port.take('resume'), [{ kind: 'resume', partitions: [0] }])
})

test('the clock of a quiet partition never goes ahead of what the broker had confirmed', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  await bench.pass(1_000)
  const asked = bench.port.take('listOffsets')
  assert.equal(asked.length, 1, 'one question at a time')
  await bench.pass(800)
  const { id } = asked[0]!.question
  bench.state.onOffsets(id, new Map([[0, 10]]))
  const [quietMs] = bench.handler(0).quiet
  assert.ok(
    quietMs! >= 5_500 && quietMs! <= 6_000,
    `stream time plus the time until the question left: ${quietMs}`,
  )
})

test('records that came while the end was asked keep a partition from being quiet', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  await bench.pass(1_000)
  const [asked] = bench.port.take('listOffsets')
  bench.batch(0, 10, 19)
  bench.state.onOffsets(asked!.question.id, new Map([[0, 15]]))
  assert.deepEqual(bench.handler(0).quiet, [])
})

test('one partition without a leader does not keep the answers from the others', async () => {
  const bench = new SourceBench()
  bench.open([0, 1])
  bench.batch(0, 0, 9)
  bench.batch(1, 0, 9)
  await bench.pass(600)
  const [both] = bench.port.take('listOffsets')
  bench.state.onOffsetsFailed(both!.question.id)
  assert.equal(bench.port.take('refreshMetadata').length, 1)
  const single = bench.port.take('listOffsets')
  assert.deepEqual(
    single.map(({ question }) => question.partitions),
    [[0], [1]],
  )
  bench.state.onOffsetsFailed(single[0]!.question.id)
  bench.state.onOffsets(single[1]!.question.id, new Map([[1, 10]]))
  assert.equal(bench.handler(1).quiet.length, 1)
})

test('nothing is delivered with an old heartbeat, nor while commits do not get through', async () => {
  const bench = new SourceBench({ sessionTimeoutMs: 10_000, maxUncommittedMs: 4_000 })
  bench.open([0])
  await bench.pass(7_900)
  assert.equal(bench.state.mayDeliver(), true)
  await bench.pass(200)
  assert.equal(bench.state.mayDeliver(), false)
  bench.state.onHeartbeat({ memberId: 'm', generation: 1 })
  assert.equal(bench.state.mayDeliver(), true)
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0])
  await bench.pass(4_200)
  bench.state.onHeartbeat({ memberId: 'm', generation: 1 })
  assert.equal(bench.state.mayDeliver(), false)
  bench.confirm()
  assert.equal(bench.state.mayDeliver(), true)
})

test('a failed commit is not repeated: the next one carries fresh state', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.handler(0).task.settle([0])
  await bench.pass(1_100)
  const [first] = bench.port.take('commit')
  bench.handler(0).task.settle([1])
  bench.state.onCommitted(first!.request.id, {
    confirmed: [],
    error: new Error('NOT_COORDINATOR'),
    isMetadataTooLarge: false,
  })
  await bench.pass(1_100)
  assert.equal(bench.confirm().entries[0]?.offset, 2)
  assert.equal(bench.state.stats().commitsFailed, 1)
})

test('a broker that refuses the metadata gets a shorter one at once', async () => {
  const bench = new SourceBench({ maxLedgerCharacters: 64 })
  bench.open([0])
  bench.batch(0, 0, 4_000)
  const scattered = Array.from({ length: 4_000 }, (_, i) => i + 1).filter(
    (i) => ((i * i) ^ (i >> 3)) % 3 === 1,
  )
  bench.handler(0).task.settle(scattered)
  await bench.pass(1_100)
  const lengths: number[] = []
  for (let round = 0; round < 3; round++) {
    const [commit] = bench.port.take('commit')
    const { metadata } = commit!.request.entries[0]!
    lengths.push(metadata.length)
    const isPacked = metadata[2] !== 'b'
    assert.equal(isPacked, round === 0, 'first without 14 bits a character, then with fewer characters')
    bench.state.onCommitted(commit!.request.id, {
      confirmed: [],
      error: new Error('OFFSET_METADATA_TOO_LARGE'),
      isMetadataTooLarge: true,
    })
  }
  assert.ok(lengths[2]! <= 32)
})

test('the process ends when the group, the fetches or the client are silent, and not because it stood still itself', async () => {
  const crashed = new SourceBench()
  crashed.open([0])
  crashed.state.onCrash(new Error('gone'))
  assert.match(crashed.port.take('fatal')[0]!.error.message, /gave up \(gone\)/)

  const silent = new SourceBench()
  silent.open([0])
  await silent.pass(60_200)
  assert.match(silent.port.take('fatal')[0]!.error.message, /no fetch has come back/)

  const doubtful = new SourceBench()
  doubtful.open([0])
  doubtful.state.onJoinStarting()
  await doubtful.pass(119_000)
  assert.deepEqual(doubtful.port.take('fatal'), [])
  await doubtful.pass(2_000)
  assert.match(doubtful.port.take('fatal')[0]!.error.message, /no word from the consumer group/)

  const stopped = new SourceBench()
  stopped.open([0])
  await stopped.clock.advance(90_000)
  stopped.state.tick()
  assert.deepEqual(stopped.port.take('fatal'), [])
  assert.equal(stopped.state.mayDeliver(), false, 'its lease is as old as it is')
})

test('a bug in a handler ends the process and settles nothing', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.handler(0).answer = ({ offset }) => {
    if (offset === 3) throw new TypeError('oops')
    return 'taken'
  }
  assert.equal(bench.batch(0, 0, 9), -1)
  assert.match(bench.port.take('fatal')[0]!.error.message, /partition 0 near offset 3 met a bug/)
  await bench.pass(2_000)
  assert.deepEqual(bench.port.take('commit'), [])
})

test('after the intake stopped, handlers hear nothing more, but what settles is committed', async () => {
  const bench = new SourceBench()
  bench.open([0])
  bench.batch(0, 0, 9)
  bench.state.stopIntake()
  const { ticks } = bench.handler(0)
  assert.equal(bench.batch(0, 10, 19), -1)
  bench.handler(0).task.settle([0, 1])
  await bench.pass(1_100)
  assert.equal(bench.handler(0).ticks, ticks)
  assert.equal(bench.confirm().entries[0]?.offset, 2)
  assert.equal(bench.state.isCommitted, true)
})
