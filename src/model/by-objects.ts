import type { FragmentRecord } from './fragment.ts'
import { NO_DAY } from './time.ts'

/**
 * Why a record went to a sink by way of objects and not from its bytes, which costs about twice the CPU. `log`: NodeTraceLogs have no other
 * way; `feeder_off`: `SIDEREAL_FEEDER=objects`; `no_day`: its spans start on several days or outside the range of `model/time.ts`, it has none,
 * or its resource or scope holds a payload reference; `no_walk`: its writer schema lacks what the walk needs; `too_large`: it is over the limits of one OTLP request, or its rows over what a write to ClickHouse holds at a time, and is
 * split by spans.
 */
export const BY_OBJECTS_REASONS = ['log', 'feeder_off', 'no_day', 'no_walk', 'too_large'] as const
export type ByObjectsReason = (typeof BY_OBJECTS_REASONS)[number]

/** What a sink tells about the way of its records; each call is cheap and must not throw. */
export interface ByObjectsObserver {
  /** A record went by objects: one call a record, and another one when the record is written again. */
  byObjects?(reason: ByObjectsReason): void
  /** No walk can be made for a writer schema: one call a schema. */
  noWalk?(schemaId: number, recordName: string, reason: string): void
}

/** Why a record for which there was no walk at hand went by objects. */
export function byObjectsReason(record: FragmentRecord, isFeederOn: boolean): ByObjectsReason {
  if (record.kind === 'log') return 'log'
  if (!isFeederOn) return 'feeder_off'
  return record.day === NO_DAY ? 'no_day' : 'no_walk'
}
