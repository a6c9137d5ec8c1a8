import type { Cluster } from 'kafkajs'
import { rootKafkaError } from '../../kafka/kafka-error.ts'
import { type BrokerCluster, observeBrokers } from './observe-brokers.ts'
import type { CommitEntry, CommitRequest, CommitResult, CommittedRow, OffsetQuestion } from './source-port.ts'
import { type AskableBroker, readTopicId } from './topic-id.ts'

/** A broker takes about 1 MiB in one OffsetCommit (`max.message.bytes` of the offsets topic). */
const MAX_COMMIT_BYTES = 512 * 1024
const COMMIT_ENTRY_BYTES = 16

interface JoinedGroup {
  readonly generationId: number
  readonly memberId: string
}

/** What kafkajs's broker object can do for a group; its own types leave most of it out. */
interface GroupCoordinator extends AskableBroker {
  joinGroup(request: unknown): Promise<JoinedGroup>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  describeGroups(request: { groupIds: string[] }): Promise<{
    groups: { members: GroupMember[] }[]
  }>
  offsetFetch(request: {
    groupId: string
    topics: { topic: string; partitions: { partition: number }[] }[]
  }): Promise<{
    responses: { partitions: { partition: number; offset: string; metadata: string | null }[] }[]
  }>
  offsetCommit(request: OffsetCommit): Promise<unknown>
}

interface OffsetCommit {
  readonly groupId: string
  readonly groupGenerationId: number
  readonly memberId: string
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly {
      readonly partition: number
      readonly offset: string | number
      readonly metadata?: string
    }[]
  }[]
}

export interface GroupMember {
  readonly memberId: string
  readonly clientId: string
}

interface GroupCluster extends BrokerCluster<GroupCoordinator> {
  findGroupCoordinator(group: { groupId: string }): Promise<GroupCoordinator>
}

/**
 * Group requests of our own over the consumer's connections: kafkajs commits to the coordinator of the join even after it has
 * moved, and takes the generation of the retry. The cluster object is what kafkajs hands to an assignor.
 */
export class KafkajsGroup {
  readonly #cluster: Cluster
  readonly #groupId: string
  readonly #topic: string
  readonly #groupCluster: GroupCluster
  #coordinator: GroupCoordinator | undefined
  readonly #onRowWiped: (partition: number) => void
  #lastJoin: JoinedGroup | undefined

  /** @param onRowWiped kafkajs has committed a negative offset of a partition, or tried to */
  constructor(cluster: Cluster, groupId: string, topic: string, onRowWiped: (partition: number) => void) {
    this.#cluster = cluster
    this.#groupId = groupId
    this.#topic = topic
    this.#onRowWiped = onRowWiped
    this.#groupCluster = cluster as unknown as GroupCluster
    observeBrokers(this.#groupCluster, (broker) => this.#observe(broker))
  }

  /** Generation of the last JoinGroup that succeeded as this member. kafkajs tells it to nobody before the first heartbeat. */
  generationOf(memberId: string): number | undefined {
    return this.#lastJoin?.memberId === memberId ? this.#lastJoin.generationId : undefined
  }

  forgetCoordinator(): void {
    this.#coordinator = undefined
  }

  async readRows(partitions: readonly number[]): Promise<CommittedRow[]> {
    try {
      const coordinator = await this.#findCoordinator()
      const { responses } = await coordinator.offsetFetch({
        groupId: this.#groupId,
        topics: [{ topic: this.#topic, partitions: partitions.map((partition) => ({ partition })) }],
      })
      return responses.flatMap((response) =>
        response.partitions.map(({ partition, offset, metadata }) => ({
          partition,
          offset: Number(offset),
          metadata,
        })),
      )
    } catch (error) {
      this.forgetCoordinator()
      throw error
    }
  }

  /** One try. After an error the coordinator is looked up anew, by the next commit. */
  async commit(request: CommitRequest): Promise<CommitResult> {
    const confirmed: CommitEntry[] = []
    try {
      const coordinator = await this.#findCoordinator()
      for (const entries of splitCommit(request.entries)) {
        await coordinator.offsetCommit({
          groupId: this.#groupId,
          groupGenerationId: request.generation,
          memberId: request.memberId,
          topics: [
            {
              topic: this.#topic,
              partitions: entries.map(({ partition, offset, metadata }) => ({
                partition,
                offset: String(offset),
                metadata,
              })),
            },
          ],
        })
        confirmed.push(...entries)
      }
      return { confirmed, error: undefined, isMetadataTooLarge: false }
    } catch (cause) {
      this.forgetCoordinator()
      const error = cause instanceof Error ? cause : new Error(String(cause))
      const isMetadataTooLarge = rootKafkaError(cause).type === 'OFFSET_METADATA_TOO_LARGE'
      return { confirmed, error, isMetadataTooLarge }
    }
  }

  async listOffsets(question: OffsetQuestion): Promise<Map<number, number>> {
    const answers = await this.#cluster.fetchTopicsOffset([
      {
        topic: this.#topic,
        partitions: question.partitions.map((partition) => ({ partition })),
        fromBeginning: question.at === 'earliest',
      },
    ])
    return new Map(
      answers.flatMap(({ partitions }) =>
        partitions.map(({ partition, offset }): [number, number] => [partition, Number(offset)]),
      ),
    )
  }

  /** See {@link readTopicId}. */
  async topicId(): Promise<string | undefined> {
    try {
      return await readTopicId(await this.#findCoordinator(), this.#topic)
    } catch (error) {
      this.forgetCoordinator()
      throw error
    }
  }

  async refreshMetadata(): Promise<void> {
    await this.#cluster.refreshMetadata()
  }

  /** Who is in the group. Fails while the coordinator is still loading, as kafkajs's own join would. */
  async members(): Promise<GroupMember[]> {
    try {
      const coordinator = await this.#findCoordinator()
      const { groups } = await coordinator.describeGroups({ groupIds: [this.#groupId] })
      return groups.flatMap((group) => group.members)
    } catch (error) {
      this.forgetCoordinator()
      throw error
    }
  }

  async leave(memberId: string): Promise<void> {
    const coordinator = await this.#findCoordinator()
    await coordinator.leaveGroup({ groupId: this.#groupId, memberId })
  }

  async #findCoordinator(): Promise<GroupCoordinator> {
    this.#coordinator ??= await this.#groupCluster.findGroupCoordinator({ groupId: this.#groupId })
    return this.#coordinator
  }

  /** So the answer to JoinGroup can be seen, and what kafkajs commits of its own accord. */
  #observe(broker: GroupCoordinator): void {
    const join = broker.joinGroup.bind(broker)
    broker.joinGroup = async (request) => {
      this.#lastJoin = undefined
      this.#lastJoin = await join(request)
      return this.#lastJoin
    }
    const commit = broker.offsetCommit.bind(broker)
    broker.offsetCommit = async (request) => {
      try {
        return await commit(request)
      } finally {
        this.#noteWiped(request)
      }
    }
  }

  #noteWiped({ topics }: OffsetCommit): void {
    for (const { topic, partitions } of topics) {
      if (topic !== this.#topic) continue
      for (const { partition, offset } of partitions) if (Number(offset) < 0) this.#onRowWiped(partition)
    }
  }
}

/** Parts that fit into one request each. */
export function splitCommit(entries: readonly CommitEntry[], maxBytes = MAX_COMMIT_BYTES): CommitEntry[][] {
  const parts: CommitEntry[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const entry of entries) {
    const size = COMMIT_ENTRY_BYTES + Buffer.byteLength(entry.metadata)
    if (bytes + size > maxBytes) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(entry)
    bytes += size
  }
  return parts
}
