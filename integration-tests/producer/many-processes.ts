/**
 * A service that runs in four parts, each with a tracing of its own that the environment sets: the main one, and three worker threads or three cluster
 * processes. Each part prints a `PartOfService` as a line of JSON.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { threadId, Worker } from 'node:worker_threads'
import { initTracing, NodeTraceLog, Span, Trace } from '../../src/producer/index.ts'

export interface PartOfService {
  /** What the names of its spans and the questions of its logs begin with. */
  readonly name: string
  readonly sids: readonly string[]
  readonly isSafe: boolean
}

const REQUESTS = 100
const FURTHER_PARTS = 3

async function runPart(): Promise<void> {
  const name = `part-${process.pid}-${threadId}`
  const tracing = initTracing()
  const sids: string[] = []
  for (let i = 0; i < REQUESTS; i++) {
    new Span().start(`${name}-${i}`, () => {
      sids.push(Trace.sid() ?? '')
      tracing.publishNodeTraceLog(new NodeTraceLog({ question: `${name}-log-${i}` }))
    })
  }
  const isSafe = await tracing.shutdown(30_000)
  process.stdout.write(`${JSON.stringify({ name, sids, isSafe } satisfies PartOfService)}\n`)
}

const isMain = cluster.isPrimary && threadId === 0
const script = new URL(import.meta.url)
if (isMain && process.argv[2] === 'threads') {
  const threads = Array.from({ length: FURTHER_PARTS }, () => new Worker(script))
  await Promise.all([runPart(), ...threads.map((thread) => once(thread, 'exit'))])
} else if (isMain) {
  const processes = Array.from({ length: FURTHER_PARTS }, () => cluster.fork())
  await Promise.all([runPart(), ...processes.map((one) => once(one, 'exit'))])
} else {
  await runPart()
  if (cluster.isWorker) cluster.worker?.disconnect()
}
