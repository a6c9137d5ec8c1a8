import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkerCounters } from './counters.ts'
import { type HealthFacts, judgeHealth } from './health.ts'
import { HealthServer } from './health-server.ts'
import { WorkerMetrics } from './metrics.ts'

const good: HealthFacts = {
  hasStarted: true,
  isClosing: false,
  fatal: null,
  isAssigned: true,
  loopAgeMs: 20,
  fetchAgeMs: 300,
  sinks: [
    { name: 'clickhouse', isRequired: true, failingForMs: 0 },
    { name: 'otlp', isRequired: false, failingForMs: 600_000 },
  ],
  servers: [{ name: 'schema registry', failingForMs: 0 }],
  stops: [],
}

test('a worker whose best-effort sink is away stays ready', () => {
  assert.deepEqual(judgeHealth(good), { isAlive: true, isReady: true, problems: [] })
})

test('a required sink that is away makes the worker not ready, and is no reason to restart it', () => {
  const verdict = judgeHealth({
    ...good,
    sinks: [{ name: 'clickhouse', isRequired: true, failingForMs: 31_000 }],
  })
  assert.equal(verdict.isAlive, true)
  assert.equal(verdict.isReady, false)
  assert.match(verdict.problems.join(), /clickhouse/)
})

test('a registry or an object store that work waits for makes the worker not ready, says which, and is no reason to restart it', () => {
  const servers = [
    { name: 'schema registry', failingForMs: 29_000 },
    { name: 'object store s3://b', failingForMs: 31_000 },
  ]
  const verdict = judgeHealth({ ...good, servers })
  assert.deepEqual([verdict.isAlive, verdict.isReady], [true, false])
  assert.deepEqual(verdict.problems, ['work waits for the object store s3://b, which fails for 31 s'])
})

test('a partition that stands still makes the worker not ready, names offset and reason, and is no reason to restart it', () => {
  const stops = [{ partition: 3, offset: 42, reason: 'schema_unknown' }]
  const { isAlive, isReady, problems } = judgeHealth({ ...good, stops })
  assert.deepEqual([isAlive, isReady], [true, false])
  assert.match(problems.join(), /SIDEREAL_DEAD_LETTER_CAP: partition 3 .*offset 42 \(schema_unknown\)/)
})

test('a loop that stands still and a fatal error are reasons to restart', () => {
  assert.equal(judgeHealth({ ...good, loopAgeMs: 11_000 }).isAlive, false)
  assert.equal(judgeHealth({ ...good, fatal: 'the consumer crashed' }).isAlive, false)
})

test('a worker without assignment, before its start checks, or closing is not ready', () => {
  for (const change of [
    { isAssigned: false },
    { hasStarted: false },
    { isClosing: true },
    { fetchAgeMs: 31_000 },
  ]) {
    const verdict = judgeHealth({ ...good, ...change })
    assert.deepEqual([verdict.isAlive, verdict.isReady], [true, false], JSON.stringify(change))
  }
})

test('every metric with a closed set of labels is there at zero before anything happened, and follows the counters', async () => {
  const counters = new WorkerCounters()
  const metrics = new WorkerMetrics({
    counters,
    sinks: ['clickhouse', 'otlp'],
    processMetrics: false,
    figures: () => ({
      partitions: [
        { partition: 3, lagRecords: 7, lagSeconds: 1.5, watermarkAgeSeconds: 2.5, isStopped: true },
      ],
      source: {
        commitsOk: 3,
        commitsFailed: 0,
        rebalances: 1,
        jumps: 0,
        lostByRetention: 0,
        blocked: 0,
        refusedBatches: 0,
        cutFetches: 0,
      },
      memoryScale: 1,
      openTraces: 4,
      openBytes: 5,
      slabBytes: 6,
      undeliveredBytes: 7,
      batchesInFlight: 1,
      deadLetterQueueRecords: 0,
      deadLetterQueueBytes: 0,
      sinkQueueBytes: { otlp: 9 },
      pausedReasons: ['undelivered'],
      isReady: true,
    }),
  })
  const server = new HealthServer({ port: 0, registry: metrics.registry, verdict: () => judgeHealth(good) })
  const port = await server.start()
  try {
    const read = async (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`)
    const text = await (await read('/metrics')).text()
    for (const line of [
      'sidereal_records_consumed_total 0',
      'sidereal_fragments_settled_total{reason="late"} 0',
      'sidereal_fragments_closed_total{reason="memory_pressure"} 0',
      'sidereal_dead_letters_total{reason="key_mismatch"} 0',
      'sidereal_sink_write_seconds_count{sink="clickhouse"} 0',
      'sidereal_sink_lost_records_total{sink="otlp"} 0',
      'sidereal_lag_seconds{partition="3"} 1.5',
      'sidereal_sink_queue_bytes{sink="otlp"} 9',
      'sidereal_commits_total{result="ok"} 3',
      'sidereal_payloads_total 0',
      'sidereal_records_by_objects_total{sink="clickhouse",reason="no_walk"} 0',
      'sidereal_records_by_objects_total{sink="otlp",reason="too_large"} 0',
      'sidereal_paused{reason="undelivered"} 1',
    ]) {
      assert.ok(text.includes(`${line}\n`), `${line} is missing in:\n${text}`)
    }
    counters.deadLetters.key_mismatch = 2
    metrics.observeWrite('clickhouse', 0.2, 50)
    const later = await (await read('/metrics')).text()
    assert.ok(later.includes('sidereal_dead_letters_total{reason="key_mismatch"} 2\n'))
    assert.ok(later.includes('sidereal_sink_rows_total{sink="clickhouse"} 50\n'))
    assert.equal((await read('/readyz')).status, 200)
    assert.equal((await read('/healthz')).status, 200)
    assert.equal((await read('/nothing')).status, 404)
  } finally {
    await server.close()
  }
})
