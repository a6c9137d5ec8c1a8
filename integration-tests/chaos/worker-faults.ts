import { setTimeout as sleep } from 'node:timers/promises'
import { SESSION_MS } from './chaos-stack.ts'
import type { Fault, FaultContext } from './fault.ts'
import { type LogPlace, openFullDisk, openStuckPipe } from './log-places.ts'
import { measureStandstill } from './standstill.ts'
import type { SupervisedWorker } from './supervised-worker.ts'

const LOG_MS = 25_000

/** What happens to workers. */
export const WORKER_FAULTS: readonly Fault[] = [
  {
    name: 'worker killed',
    about: 'kill -9 of one worker; the supervisor starts it again after 0.5 s; over when it is ready',
    inject: async ({ workers, random }) => {
      const worker = random.pick(workers)
      worker.killHard()
      await sleep(1_000)
      await worker.untilReady()
    },
  },
  {
    name: 'worker killed repeatedly',
    about: 'kill -9 of a random worker every 2 to 5 s, six times; over when all are ready',
    inject: async ({ workers, random }) => {
      for (let kill = 0; kill < 6; kill++) {
        random.pick(workers).killHard()
        await sleep(random.integer(2_000, 5_000))
      }
      await Promise.all(workers.map((worker) => worker.untilReady()))
    },
  },
  {
    name: 'worker stopped',
    about: `SIGSTOP of one worker for ${(SESSION_MS * 2) / 1_000} s, twice its session, then SIGCONT`,
    inject: async ({ workers, random }) => {
      const worker = random.pick(workers)
      worker.freeze()
      await sleep(SESSION_MS * 2)
      worker.thaw()
    },
  },
  {
    name: 'join',
    about: 'a fourth worker joins, stays for 15 s, and leaves by SIGTERM',
    inject: async (context) => {
      const { guest, workers } = context
      const standstill = measureStandstill(workers)
      guest.start()
      await guest.untilReady()
      await sleep(3_000)
      context.measured('longest pause of another worker at a join (ms)', await standstill())
      await sleep(12_000)
      await guest.stop()
    },
  },
  {
    name: 'join and leave storm',
    about: 'for 40 s a fourth worker joins or leaves every 2 to 5 s',
    inject: async ({ guest, random }) => {
      const endMs = performance.now() + 40_000
      while (performance.now() < endMs) {
        if (guest.isRunning) await guest.stop()
        else guest.start()
        await sleep(random.integer(2_000, 5_000))
      }
      if (guest.isRunning) await guest.stop()
    },
  },
  {
    name: 'rolling restart',
    about: 'each worker in turn: SIGTERM, start, wait until it is ready',
    inject: async ({ workers }) => {
      for (const worker of workers) {
        await worker.stop()
        worker.start()
        await worker.untilReady()
      }
    },
  },
  {
    name: 'log: disk full',
    about: `one worker runs for ${LOG_MS / 1_000} s with its log on a full disk (/dev/full: each write fails with ENOSPC)`,
    inject: (context) => withLog(context, openFullDisk),
  },
  {
    name: 'log: nobody reads',
    about: `one worker runs for ${LOG_MS / 1_000} s with its log in a full pipe that nobody reads`,
    inject: (context) => withLog(context, openStuckPipe),
  },
]

/** A worker with such a log must work as any other. */
async function withLog(context: FaultContext, open: () => Promise<LogPlace>): Promise<void> {
  const worker = context.random.pick(context.workers)
  await worker.stop()
  const place = await open()
  try {
    worker.start(place.fd)
    await worker.untilReady()
    const before = await consumed(worker)
    await sleep(LOG_MS)
    const read = (await consumed(worker)) - before
    if (!(read > 0)) context.broken(`${worker.name} stood still because of its log (${read} records read)`)
  } finally {
    // Not by SIGTERM: one that stands still would not see it.
    await worker.destroy()
    place.close()
  }
  worker.start()
  await worker.untilReady()
}

async function consumed(worker: SupervisedWorker): Promise<number> {
  return (await worker.metrics())?.get('sidereal_records_consumed_total') ?? Number.NaN
}
