import type { RecordType } from '../codec/record-type.ts'
import type { Clock } from '../model/clock.ts'
import { asError, errorCode } from '../model/retry.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { PayloadPacker } from '../storage/payload-pack.ts'
import type { WorkerCounters } from '../telemetry/counters.ts'
import { type Logger, RepeatedWarnings } from '../telemetry/logger.ts'
import type { FragmentProcessor } from './deliver/deliverer.ts'
import { Offload } from './process/offload.ts'

export interface ProcessorOptions {
  /** Null = none is configured: values stay in the rows. */
  readonly store: ObjectStore | null
  readonly payloadLimitBytes: number
  /** The compiled schema of a record that was consumed. */
  readonly recordTypes: (schemaId: number) => RecordType | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly counters: WorkerCounters
  readonly logger: Logger
}

export interface Processor extends FragmentProcessor {
  /** How long the object store has failed while payloads wait for it; 0 = it does not. */
  readonly storeFailingForMs: number
  /** Gives up payloads that are not stored. */
  close(): void
}

/** The steps between assembly and the sinks: today the offload of large values. */
export function openProcessor(options: ProcessorOptions): Processor {
  const { store, clock, random, counters, logger, recordTypes, payloadLimitBytes } = options
  const warnings = new RepeatedWarnings(logger, clock)
  let failingSinceMs: number | undefined
  const packer =
    store === null
      ? undefined
      : new PayloadPacker({
          store,
          clock,
          random,
          observer: {
            stored: ({ bytes, payloads }) => {
              failingSinceMs = undefined
              counters.payloadPacksStored += 1
              counters.payloadsStored += payloads
              counters.payloadPackBytes += bytes
            },
            uploadFailed: (error, attempt) => {
              failingSinceMs ??= clock.monotonicMs()
              counters.payloadUploadsFailed += 1
              warnings.warn(
                errorCode(error),
                { store: store.url, code: errorCode(error), error: asError(error), attempt },
                'payloads cannot be stored: they are tried again',
              )
            },
          },
        })
  const offload = new Offload({ packer, recordTypes, logger, limitBytes: payloadLimitBytes })
  return {
    process: (fragments, signal) => offload.process(fragments, signal),
    get storeFailingForMs() {
      // Payloads of a partition that went away are given up, and nobody waits any more.
      if (packer === undefined || packer.heldBytes === 0) failingSinceMs = undefined
      return failingSinceMs === undefined ? 0 : clock.monotonicMs() - failingSinceMs
    },
    close: () => packer?.abort(new Error('the worker stops')),
  }
}
