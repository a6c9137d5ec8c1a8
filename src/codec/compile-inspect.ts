import { createDayOf } from '../model/time.ts'
import type { Plan } from './avro/plan.ts'
import type { AvroRecord } from './avro/schema.ts'
import { WalkCompiler } from './avro/walk.ts'
import type { Refuse } from './decode-runtime.ts'
import {
  INSPECT_DECLARATIONS,
  INSPECTED_REFERENCE,
  WATCH_DECLARATIONS,
  WATCHED_KEY_VALUE,
  watchKeys,
} from './record-plans.ts'
import type { RecordType } from './record-type.ts'
import { KeyFinder, listWatchedKeys, type WatchedKeys } from './watched-keys.ts'

/** Keys of the set that records of this kind can have, ready to be found. */
interface Watch {
  /** Where most keys of the record stand, and those of its resource. */
  readonly keys: KeyFinder
  readonly resourceKeys: KeyFinder
}

function watchFor(kind: RecordType['kind'], watchedKeys: WatchedKeys | undefined): Watch | undefined {
  const list = listWatchedKeys(watchedKeys ?? {})
  const places = kind === 'log' ? ['log'] : ['attributes', 'resource']
  if (!list.some(({ place }) => places.includes(place))) return undefined
  return {
    keys: new KeyFinder(list, kind === 'log' ? 'log' : 'attributes'),
    resourceKeys: new KeyFinder(list, 'resource'),
  }
}

/** The module of an inspection. Without keys to watch there is no trace of them in it. */
export function inspectSource(schema: AvroRecord, plan: Plan, isWatching: boolean): string {
  const compiler = new WalkCompiler(schema, {
    offloadable: ({ length }) => `if (${length} > payloadLimitBytes) isLarge = true`,
    skipped: {
      PayloadReference: INSPECTED_REFERENCE,
      ...(isWatching ? { KeyValue: WATCHED_KEY_VALUE } : {}),
    },
  })
  compiler.entry('inspect', ['header'], isWatching ? watchKeys(plan) : plan)
  const declarations = isWatching ? `${INSPECT_DECLARATIONS}\n${WATCH_DECLARATIONS}` : INSPECT_DECLARATIONS
  return compiler.source(declarations, 'inspect')
}

export interface InspectOptions {
  readonly payloadLimitBytes: number
  readonly watchedKeys?: WatchedKeys
}

/** @throws SiderealError `SIDEREAL_CONFIG_INVALID` as `listWatchedKeys` says */
export function compileInspect(
  kind: RecordType['kind'],
  schema: AvroRecord,
  plan: Plan,
  bad: Refuse,
  options: InspectOptions,
): RecordType['inspect'] {
  const watch = watchFor(kind, options.watchedKeys)
  const factory = new Function(
    'bad',
    'payloadLimitBytes',
    'dayOf',
    'watch',
    inspectSource(schema, plan, watch !== undefined),
  ) as (
    bad: Refuse,
    payloadLimitBytes: number,
    dayOf: ReturnType<typeof createDayOf>,
    watch: Watch | undefined,
  ) => RecordType['inspect']
  return factory(bad, options.payloadLimitBytes, createDayOf(), watch)
}
