import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { SiderealError } from '../model/errors.ts'

export interface WaitOptions {
  readonly admin: Admin
  readonly topic: string
  readonly group: string
  readonly timeoutMs: number
  /** Records that the group has still to settle, of those that were there at the start. */
  readonly onProgress?: (open: number, total: number) => void
}

interface OpenPartition {
  readonly partition: number
  readonly committed: number
  readonly end: number
}

const POLL_MS = 500
const SHOWN_PARTITIONS = 12

/**
 * Waits until the group has settled everything that was in the topic when this was called: its committed offsets have reached the end
 * offsets of that moment.
 *
 * @throws SiderealError SIDEREAL_VERIFY_TIMEOUT that names the partitions which are still open
 */
export async function waitUntilCommitted(options: WaitOptions): Promise<void> {
  const { admin, topic, group, timeoutMs } = options
  const ends = await admin.fetchTopicOffsets(topic)
  const deadline = performance.now() + timeoutMs
  const total = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
  for (;;) {
    const committed = await committedOffsets(admin, group, topic)
    if (committed === undefined && performance.now() < deadline) {
      await sleep(POLL_MS)
      continue
    }
    const open = ends.flatMap(({ partition, low, high }): OpenPartition[] => {
      // Nothing was ever committed: −1. Then everything that is still in the log is open.
      const position = Math.max(committed?.get(partition) ?? -1, Number(low))
      return position < Number(high) ? [{ partition, committed: position, end: Number(high) }] : []
    })
    options.onProgress?.(
      open.reduce((sum, { committed: position, end }) => sum + end - position, 0),
      total,
    )
    if (open.length === 0) return
    if (performance.now() >= deadline) throw stillOpen(options, open)
    await sleep(POLL_MS)
  }
}

/** `undefined` while the group's coordinator is being found or is loading, as on a cluster that has just started. */
async function committedOffsets(
  admin: Admin,
  group: string,
  topic: string,
): Promise<Map<number, number> | undefined> {
  try {
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    return new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  } catch (error) {
    if (error instanceof Error && 'retriable' in error && error.retriable === true) return undefined
    throw error
  }
}

function stillOpen({ topic, group, timeoutMs }: WaitOptions, open: readonly OpenPartition[]): SiderealError {
  const names = [...open]
    .sort((a, b) => a.partition - b.partition)
    .slice(0, SHOWN_PARTITIONS)
    .map(({ partition, committed, end }) => `partition ${partition} at ${committed} of ${end}`)
  if (open.length > SHOWN_PARTITIONS) names.push(`${open.length - SHOWN_PARTITIONS} more`)
  return new SiderealError(
    'SIDEREAL_VERIFY_TIMEOUT',
    `After ${timeoutMs / 1000} s the group ${group} has not settled all of ${topic}: ${names.join(', ')}. Check that a worker of this group runs, or give it longer with --timeout.`,
  )
}
