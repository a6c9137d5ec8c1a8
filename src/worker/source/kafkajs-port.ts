import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import type { Clock } from '../../model/clock.ts'
import { SiderealError } from '../../model/errors.ts'
import { within } from '../../model/within.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { BoundedFetch } from './bounded-fetch.ts'
import { handOver } from './hand-over.ts'
import { kafkajsAssignor } from './kafkajs-assignor.ts'
import { KafkajsGroup } from './kafkajs-group.ts'
import type { SourceSettings } from './source-options.ts'
import type { CommitRequest, OffsetQuestion, SourcePort } from './source-port.ts'
import type { SourceState } from './source-state.ts'
import { TopicWatch } from './topic-watch.ts'

const DISCONNECT_MS = 1_000
const COORDINATOR_RETRY_MS = 250
/** Few and short: kafkajs looks for a new coordinator in place of a dead one only after the last. Any crash then ends the process. */
const RETRY = {
  initialRetryTime: 100,
  multiplier: 2,
  maxRetryTime: 1_000,
  retries: 8,
  restartOnFailure: async () => false,
}

export interface KafkajsPortDeps {
  readonly kafka: Kafka
  readonly clientId: string
  readonly settings: SourceSettings
  readonly clock: Clock
  readonly logger: Logger
  readonly onFatal: (error: SiderealError) => void
}

/** {@link SourcePort} over one kafkajs consumer. Translates and nothing else: every rule is in `SourceState`. */
export class KafkajsPort implements SourcePort {
  readonly #deps: KafkajsPortDeps
  readonly #consumer: Consumer
  #group: KafkajsGroup | undefined
  #fetches: BoundedFetch | undefined
  #topicWatch: TopicWatch | undefined
  #state: SourceState | undefined
  /** How often each partition was sought. */
  readonly #seeks = new Map<number, number>()

  constructor(deps: KafkajsPortDeps) {
    const { settings } = deps
    this.#deps = deps
    this.#consumer = deps.kafka.consumer({
      groupId: settings.groupId,
      partitionAssigners: [
        kafkajsAssignor({
          instanceId: settings.instanceId,
          onJoinStarting: () => this.#state?.onJoinStarting(),
          onCluster: (cluster) => {
            this.#group = new KafkajsGroup(cluster, settings.groupId, settings.topic, (partition) =>
              this.#state?.onRowWiped(partition),
            )
            this.#fetches = new BoundedFetch(cluster, settings)
          },
        }),
      ],
      sessionTimeout: settings.sessionTimeoutMs,
      rebalanceTimeout: settings.rebalanceTimeoutMs,
      heartbeatInterval: settings.heartbeatMs,
      maxWaitTimeInMs: settings.maxWaitMs,
      maxBytesPerPartition: settings.maxBytesPerPartition,
      maxBytes: settings.maxBytes,
      metadataMaxAge: settings.metadataMaxAgeMs,
      allowAutoTopicCreation: false,
      retry: RETRY,
    })
  }

  /** Connects, then joins the group in the background: a join may wait for others for a minute. `deadlineMs` is monotonic. */
  async start(state: SourceState, deadlineMs: number): Promise<void> {
    const { settings } = this.#deps
    this.#state = state
    this.#listen(state)
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: [settings.topic], fromBeginning: true })
    await this.#prepareGroup(deadlineMs)
    this.#topicWatch = new TopicWatch({
      ...this.#deps,
      readId: () => this.#requireGroup().topicId(),
      onCreatedAnew: () => state.onTopicCreatedAnew(),
    })
    await this.#topicWatch.start()
    this.#consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#onBatch(state, payload),
      })
      .catch((cause: unknown) => state.onCrash(asError(cause)))
  }

  /** Fetches that brought more than fitted into memory. */
  get cutFetches(): number {
    return this.#fetches?.cuts ?? 0
  }

  /** Leaves the group. kafkajs may hang here behind a broker that is away: then by hand, then not at all. */
  async stop(): Promise<void> {
    const { settings, clock, logger } = this.#deps
    const memberId = this.#state?.memberId
    this.#topicWatch?.stop()
    try {
      await within(
        this.#consumer.stop(),
        settings.stopTimeoutMs,
        clock,
        () => new Error('stopping took too long'),
      )
    } catch (error) {
      logger.warn({ error: asError(error).message }, 'the consumer does not stop: leaving the group by hand')
      if (memberId !== undefined) await this.#leaveByHand(memberId)
    }
    const disconnected = within(
      this.#consumer.disconnect(),
      DISCONNECT_MS,
      clock,
      () => new Error('disconnecting took too long'),
    )
    await disconnected.catch((error: unknown) =>
      logger.debug({ error: asError(error).message }, 'connections are cut by the end of the process'),
    )
  }

  seek(partition: number, offset: number): void {
    const { topic } = this.#deps.settings
    this.#seeks.set(partition, this.#seeksOf(partition) + 1)
    this.#tell(() => this.#consumer.seek({ topic, partition, offset: String(offset) }))
  }

  pause(partitions: readonly number[]): void {
    const { topic } = this.#deps.settings
    this.#tell(() => this.#consumer.pause([{ topic, partitions: [...partitions] }]))
  }

  resume(partitions: readonly number[]): void {
    const { topic } = this.#deps.settings
    this.#tell(() => this.#consumer.resume([{ topic, partitions: [...partitions] }]))
  }

  readLedger(assignment: number, partitions: readonly number[]): void {
    this.#requireGroup()
      .readRows(partitions)
      .then(
        (rows) => this.#state?.onLedgerRead(assignment, rows),
        (error: unknown) => this.#state?.onLedgerFailed(assignment, asError(error)),
      )
  }

  listOffsets(question: OffsetQuestion): void {
    this.#requireGroup()
      .listOffsets(question)
      .then(
        (offsets) => this.#state?.onOffsets(question.id, offsets),
        (error: unknown) => {
          this.#deps.logger.debug({ error: asError(error).message }, 'ListOffsets failed')
          this.#state?.onOffsetsFailed(question.id)
        },
      )
  }

  commit(request: CommitRequest): void {
    this.#requireGroup()
      .commit(request)
      .then((result) => this.#state?.onCommitted(request.id, result))
  }

  refreshMetadata(): void {
    this.#requireGroup()
      .refreshMetadata()
      .catch((error: unknown) =>
        this.#deps.logger.debug({ error: asError(error).message }, 'metadata could not be read anew'),
      )
  }

  fatal(error: SiderealError): void {
    this.#deps.onFatal(error)
  }

  /**
   * Waits for the group's coordinator: on a cluster that has just started it is still loading, and kafkajs would give up. Then
   * removes earlier lives of this process, where its name says that they are.
   */
  async #prepareGroup(deadlineMs: number): Promise<void> {
    const { settings, clientId, clock, logger } = this.#deps
    const group = this.#requireGroup()
    for (;;) {
      try {
        const members = await group.members()
        const former = members.filter((member) => member.clientId === clientId)
        if (!settings.isInstanceIdSet || former.length === 0) return
        for (const { memberId } of former) await group.leave(memberId)
        logger.warn(
          { clientId, members: former.length },
          'removed a member of this instance id from the group: a process that died, or a second one that lives',
        )
        return
      } catch (cause) {
        if (clock.monotonicMs() > deadlineMs) throw coordinatorAway(settings.groupId, cause)
        await new Promise<void>((resolve) => clock.setTimer(resolve, COORDINATOR_RETRY_MS))
      }
    }
  }

  #listen(state: SourceState): void {
    const { events } = this.#consumer
    const { topic } = this.#deps.settings
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      const group = this.#requireGroup()
      group.forgetCoordinator()
      state.onGroupJoined({
        memberId: payload.memberId,
        generation: group.generationOf(payload.memberId),
        partitions: payload.memberAssignment[topic] ?? [],
      })
    })
    this.#consumer.on(events.HEARTBEAT, ({ payload }) =>
      state.onHeartbeat({ memberId: payload.memberId, generation: payload.groupGenerationId }),
    )
    this.#consumer.on(events.REBALANCING, () => state.onRebalancing())
    this.#consumer.on(events.FETCH, () => state.onFetch())
    this.#consumer.on(events.CRASH, ({ payload }) => state.onCrash(payload.error))
  }

  #onBatch(state: SourceState, { batch, resolveOffset, isStale }: EachBatchPayload): Promise<void> {
    const seeks = this.#seeksOf(batch.partition)
    return handOver(batch, {
      // A seek between two parts may have been done already: then kafkajs knows of none.
      isStale: () => isStale() || this.#seeksOf(batch.partition) !== seeks,
      take: (part) => state.onBatch(part),
      resolve: (offset) => resolveOffset(String(offset)),
    })
  }

  #seeksOf(partition: number): number {
    return this.#seeks.get(partition) ?? 0
  }

  /** kafkajs refuses these while it does not run; the next join says everything anew. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#deps.logger.debug({ error: asError(error).message }, 'the consumer does not run')
    }
  }

  async #leaveByHand(memberId: string): Promise<void> {
    const { clock, logger } = this.#deps
    const leaving = within(
      this.#requireGroup().leave(memberId),
      DISCONNECT_MS,
      clock,
      () => new Error('leaving took too long'),
    )
    await leaving.catch((error: unknown) =>
      logger.warn(
        { error: asError(error).message },
        'the group was not left: it waits until the session of this member ends',
      ),
    )
  }

  #requireGroup(): KafkajsGroup {
    if (this.#group === undefined) throw new Error('kafkajs made no assignor')
    return this.#group
  }
}

function coordinatorAway(groupId: string, cause: unknown): SiderealError {
  return new SiderealError(
    'SIDEREAL_KAFKA_UNAVAILABLE',
    `the coordinator of consumer group ${groupId} does not answer (${asError(cause).message}): check that the brokers run, and that this client may use the group`,
    { cause, retryable: true },
  )
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
