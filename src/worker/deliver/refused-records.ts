import type { DeadLetterQueue } from '../../model/dead-letter.ts'
import { SiderealError } from '../../model/errors.ts'
import type { RefusedRecord } from '../../model/sink.ts'
import type { Delivery } from './delivery.ts'

/**
 * Makes dead letters of what sinks refused for its content, each record once however many sinks refused it. Resolves when the
 * dead-letter topic has them all, so that their fragments may be settled; when the signal aborts; or, for a record of a partition that is lost,
 * at once: its new owner writes its own letter.
 */
export async function storeRefused(
  deliveries: readonly Delivery[],
  refused: readonly RefusedRecord[],
  deadLetters: DeadLetterQueue,
  signal: AbortSignal,
): Promise<void> {
  const byPlace = new Map(refused.map((one) => [placeOf(one.record), one]))
  const stored: Promise<void>[] = []
  for (const delivery of deliveries) {
    for (const record of delivery.fragment.records) {
      const one = byPlace.get(placeOf(record))
      if (one !== undefined) stored.push(storeOne(delivery, one, deadLetters, signal))
    }
  }
  await Promise.all(stored)
}

/** Processing may have put another object in the place of a record: what stays is where it came from. */
export function placeOf({
  partition,
  offset,
}: {
  readonly partition: number
  readonly offset: number
}): string {
  return `${partition}/${offset}`
}

function storeOne(
  delivery: Delivery,
  { record, reason }: RefusedRecord,
  deadLetters: DeadLetterQueue,
  signal: AbortSignal,
): Promise<void> {
  const { task } = delivery
  const original = delivery.original(record.offset)
  if (original === undefined)
    throw new Error(`offset ${record.offset} is not in the fragment that it was refused in`)
  return new Promise((resolve) => {
    // The signals live as long as the worker and the task: what stays with them keeps the record, and the slab under it.
    const done = (): void => {
      signal.removeEventListener('abort', done)
      task.lost.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
    task.lost.addEventListener('abort', done)
    const offer = (): void => {
      if (signal.aborted || !task.isAlive) {
        done()
        return
      }
      const isTaken = deadLetters.offer({
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        appendTimeMs: record.receivedAtMs,
        ...original,
        reason: 'refused',
        stage: 'TASK_PUT',
        schemaId: record.schemaId,
        error: new SiderealError('SIDEREAL_ROW_REFUSED', reason),
        isWanted: () => task.isAlive,
        onStored: done,
      })
      if (!isTaken) deadLetters.whenRoom(offer)
    }
    offer()
  })
}
