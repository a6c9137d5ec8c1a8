import { requireKafkajs } from './kafkajs-internals.ts'

const patched = Symbol.for('sidereal.kafkajs.clock')

/** The part of kafkajs's private `ConsumerGroup` that the patch touches. */
interface ConsumerGroupLike {
  lastRequest: number
  heartbeat(options: { interval: number }): Promise<void>
  [patched]?: boolean
}

/** The part of kafkajs's private `BrokerPool` that the patch touches. */
interface BrokerPoolLike {
  metadataExpireAt: number | null
  metadataMaxAge: number
  refreshMetadataIfNecessary(topics: readonly string[]): Promise<unknown>
}

/**
 * kafkajs 2.2.4 measures by the wall clock. Set back by an hour, that means no heartbeat for an hour: the broker gives the partitions away after a
 * session, and the member reads on without a word. Metadata stays as old for as long. This takes a time that lies ahead as one that is over.
 * Returns false, and leaves kafkajs alone, when its version is another one.
 */
export function patchClockSteps(): boolean {
  const require = requireKafkajs()
  if (require === undefined) return false
  const group = (require('kafkajs/src/consumer/consumerGroup') as { prototype: ConsumerGroupLike }).prototype
  if (group[patched]) return true
  const pool = (require('kafkajs/src/cluster/brokerPool') as { prototype: BrokerPoolLike }).prototype
  const { heartbeat } = group
  const { refreshMetadataIfNecessary } = pool
  if (typeof heartbeat !== 'function' || typeof refreshMetadataIfNecessary !== 'function') return false
  group.heartbeat = function (this: ConsumerGroupLike, options): Promise<void> {
    if (this.lastRequest > Date.now()) this.lastRequest = 0
    return heartbeat.call(this, options)
  }
  pool.refreshMetadataIfNecessary = function (this: BrokerPoolLike, topics): Promise<unknown> {
    const { metadataExpireAt, metadataMaxAge } = this
    if (metadataExpireAt !== null && metadataExpireAt > Date.now() + metadataMaxAge) this.metadataExpireAt = 0
    return refreshMetadataIfNecessary.call(this, topics)
  }
  group[patched] = true
  return true
}
