/** A worker of a service, as a thread or a cluster process: makes SIDs, hands them to its parent and ends. */
import cluster from 'node:cluster'
import { isMainThread, parentPort } from 'node:worker_threads'
import { SidGenerator } from './sid.ts'

export const COUNT = 5000
/** SIDs a millisecond: so many have one time and differ by the index alone. */
const A_MILLISECOND = 50

/**
 * SIDs of a generator as the service has it. What chance and time would hide is the same for all workers: the random byte, and a clock
 * that starts at one instant.
 */
export function makeSids(): string[] {
  let reads = 0
  const nowMs = () => 1_759_000_000_000 + Math.floor(reads++ / A_MILLISECOND)
  const generator = new SidGenerator({
    sub: 'spf',
    location: 'hf',
    ip: '10.0.12.7',
    port: 7880,
    randomByte: 9,
    nowMs,
  })
  return Array.from({ length: COUNT }, () => generator.next())
}

if (!isMainThread) parentPort?.postMessage(makeSids())
else if (cluster.isWorker) process.send?.(makeSids(), () => process.disconnect())
