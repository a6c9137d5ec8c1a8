import type { RecordType } from '../../src/codec/record-type.ts'
import type { Clock } from '../../src/model/clock.ts'
import { SiderealError } from '../../src/model/errors.ts'
import { PayloadReference } from '../../src/model/payload-reference.ts'
import { pause } from '../../src/model/retry.ts'
import type { SchemaSource } from '../../src/worker/assemble/schema-gate.ts'
import type { DeadLetterProducer, DeadLetterRecord } from '../../src/worker/deliver/dead-letters.ts'
import type { PayloadStorage } from '../../src/worker/process/offload.ts'
import type { SimProcess } from './scheduler.ts'
import { sha256Hex } from './sha256-hex.ts'
import { FOREIGN_SCHEMA_ID } from './traces.ts'
import type { World } from './world.ts'

const TIMEOUT_MS = 1_000
const RETRY_MS = 200

/** The schema registry as one process sees it: what it has fetched it keeps. */
export function schemaSource(world: World, process: SimProcess): SchemaSource {
  const known = new Map<number, RecordType>()
  return {
    cached: (id) => known.get(id),
    fetch: (id) =>
      new Promise((resolve, reject) =>
        world.network.call({
          name: 'registry',
          process,
          timeoutMs: TIMEOUT_MS,
          serve: () => (world.deploy.hasSchema(id) ? world.recordTypes.get(id) : undefined),
          onAnswer: (type) => {
            if (type === undefined) {
              const code =
                id === FOREIGN_SCHEMA_ID ? 'SIDEREAL_SCHEMA_INCOMPATIBLE' : 'SIDEREAL_SCHEMA_UNKNOWN'
              reject(new SiderealError(code, `no usable schema ${id}`))
              return
            }
            known.set(id, type)
            resolve(type)
          },
          onError: (cause) =>
            reject(new SiderealError('SIDEREAL_REGISTRY_UNAVAILABLE', 'away', { cause, retryable: true })),
        }),
      ),
  }
}

/** Object storage for payloads. As the packer it tries until a payload is stored, and only then gives a reference. */
export function payloadStorage(world: World, process: SimProcess, clock: Clock): PayloadStorage {
  return {
    flush: async () => undefined,
    add: async (value, _owner, signal) => {
      const never = new AbortController().signal
      const until = signal ?? never
      const sha256 = sha256Hex(value)
      while (!until.aborted) {
        const isStored = await new Promise<boolean>((resolve) =>
          world.network.call({
            name: 'payloads',
            process,
            timeoutMs: TIMEOUT_MS,
            serve: (share) => {
              if (share === 1) world.payloads.add(sha256)
            },
            onAnswer: () => resolve(true),
            onError: () => resolve(false),
          }),
        )
        if (isStored) return reference(value, sha256)
        await pause(clock, RETRY_MS, until)
      }
      throw new SiderealError('SIDEREAL_OBJECT_STORE_UNAVAILABLE', 'the worker stops', { retryable: true })
    },
  }
}

function reference(value: Buffer, sha256: string): PayloadReference {
  return new PayloadReference({
    key: `payloads/${sha256}`,
    offset: 0,
    length: value.length,
    size: value.length,
    sha256,
    encoding: 'identity',
    preview: value.toString('utf8', 0, 8),
  })
}

/** The dead-letter topic. */
export function deadLetterProducer(world: World, process: SimProcess): DeadLetterProducer {
  return {
    send: (_topic: string, records: readonly DeadLetterRecord[]) =>
      new Promise<void>((resolve, reject) =>
        world.network.call({
          name: 'dead letters',
          process,
          timeoutMs: TIMEOUT_MS,
          serve: (share) => {
            for (const record of records.slice(0, Math.ceil(records.length * share)))
              world.storeDeadLetter(record)
          },
          onAnswer: resolve,
          onError: (cause) =>
            reject(new SiderealError('SIDEREAL_KAFKA_UNAVAILABLE', 'away', { cause, retryable: true })),
        }),
      ),
  }
}
