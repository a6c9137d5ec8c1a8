import type { Cluster } from 'kafkajs'
import { hideAborted, type PartitionWithAborted } from '../../kafka/aborted-records.ts'
import { endOfHidden } from '../../kafka/fetched-end.ts'
import { recycleResponse } from '../../kafka/kafkajs-responses.ts'
import { messageBytes } from '../../kafka/record-batches.ts'
import { UnpackBudget, UnpackedTooLarge, withUnpackBudget } from '../../kafka/unpack-budget.ts'
import { SiderealError } from '../../model/errors.ts'
import { FetchSizer } from './fetch-sizer.ts'
import { type BrokerCluster, observeBrokers } from './observe-brokers.ts'
import type { SourceSettings } from './source-options.ts'

interface FetchPartition {
  readonly partition: number
  readonly fetchOffset: string
  maxBytes: number
}

interface FetchRequest {
  maxBytes: number
  topics: { readonly topic: string; readonly partitions: FetchPartition[] }[]
}

interface FetchMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
}

type FetchedPartition = PartitionWithAborted & {
  readonly partition: number
  readonly messages: readonly FetchMessage[]
}

interface FetchResponse {
  readonly responses: readonly {
    readonly topicName: string
    readonly partitions: readonly FetchedPartition[]
  }[]
}

/** What kafkajs's broker object can do; its own types leave it out. */
interface FetchBroker {
  fetch(request: FetchRequest): Promise<FetchResponse>
}

interface FetchCluster extends BrokerCluster<FetchBroker> {
  getNodeIds(): readonly unknown[]
}

/**
 * Bounds what kafkajs holds of fetches. It asks the cluster for the broker before each one: here the sizes of its partitions are set,
 * and what the answer may become in memory; records of aborted transactions are hidden, and where nothing is left to show its end is. All brokers together keep to the share, since kafkajs fetches from each by itself.
 */
export class BoundedFetch {
  readonly #settings: SourceSettings
  readonly #cluster: FetchCluster
  /** Fetches that brought more than fitted. */
  cuts = 0

  constructor(cluster: Cluster, settings: SourceSettings) {
    this.#settings = settings
    this.#cluster = cluster as unknown as FetchCluster
    observeBrokers(this.#cluster, (broker) => this.#observe(broker))
  }

  #observe(broker: FetchBroker): void {
    const fetch = broker.fetch.bind(broker)
    const sizer = this.#newSizer()
    let last: UnpackBudget | undefined
    let lastView: Uint8Array | undefined
    broker.fetch = async (request) => {
      // kafkajs asks a broker again only when all records of its last answer have been handed over.
      last?.release()
      if (lastView !== undefined) recycleResponse(lastView)
      lastView = undefined
      last = this.#newBudget(sizer)
      const response = await this.#fetch(request, { sizer, budget: last, fetch })
      lastView = viewOf(response, last)
      this.#showWhatMayBe(request, response)
      return response
    }
  }

  #showWhatMayBe({ topics }: FetchRequest, { responses }: FetchResponse): void {
    for (const { topicName, partitions } of responses) {
      const asked = topics.find(({ topic }) => topic === topicName)?.partitions
      for (const answer of partitions) {
        hideAborted(answer)
        const fetchOffset = asked?.find(({ partition }) => partition === answer.partition)?.fetchOffset
        const end = endOfHidden(answer.messages, Number(fetchOffset ?? 0))
        if (end !== undefined) answer.messages = [end]
      }
    }
  }

  #newSizer(): FetchSizer {
    const { maxBytes, maxBytesPerPartition, maxUnpackedBytes } = this.#settings
    return new FetchSizer({ maxBytes, maxBytesPerPartition }, maxUnpackedBytes / this.#nodes())
  }

  #newBudget({ ratio }: FetchSizer): UnpackBudget {
    const { maxUnpackedBytes, maxUnpackedBatchBytes } = this.#settings
    const maxBytes = maxUnpackedBytes / this.#nodes()
    return new UnpackBudget({
      maxBytes,
      maxBatchBytes: Math.max(maxBytes, maxUnpackedBatchBytes),
      expectedRatio: ratio,
    })
  }

  #nodes(): number {
    return Math.max(1, this.#cluster.getNodeIds().length)
  }

  async #fetch(
    request: FetchRequest,
    {
      sizer,
      budget,
      fetch,
    }: {
      readonly sizer: FetchSizer
      readonly budget: UnpackBudget
      readonly fetch: FetchBroker['fetch']
    },
  ): Promise<FetchResponse> {
    this.#shape(request, sizer)
    const { maxUnpackedBatchBytes } = this.#settings
    let response: FetchResponse
    try {
      response = await withUnpackBudget(budget, () => fetch(request))
    } catch (cause) {
      if (cause instanceof UnpackedTooLarge) throw tooLarge(request, maxUnpackedBatchBytes, cause)
      throw cause
    }
    this.#note(response, budget, sizer)
    return response
  }

  /** The order is left to kafkajs, which shuffles it: a broker fills an answer in the order of the request, and what comes last may be cut. */
  #shape(request: FetchRequest, sizer: FetchSizer): void {
    const count = request.topics.reduce((sum, { partitions }) => sum + partitions.length, 0)
    const { maxBytes, maxBytesPerPartition } = sizer.next(count)
    request.maxBytes = maxBytes
    for (const { partitions } of request.topics) {
      for (const partition of partitions) partition.maxBytes = maxBytesPerPartition
    }
  }

  #note(response: FetchResponse, budget: UnpackBudget, sizer: FetchSizer): void {
    let bytes = 0
    let records = 0
    for (const { partitions } of response.responses) {
      for (const { messages } of partitions) {
        records += messages.length
        for (const message of messages) bytes += messageBytes(message)
      }
    }
    if (budget.isCut) this.cuts += 1
    const { packedBytes, unpackedBytes } = budget
    sizer.note({ plainBytes: Math.max(0, bytes - unpackedBytes), packedBytes, unpackedBytes, records })
  }
}

/** Some part of the answer itself: the records of a batch that came uncompressed are. */
function viewOf({ responses }: FetchResponse, { unpackedBytes }: UnpackBudget): Uint8Array | undefined {
  if (unpackedBytes > 0) return undefined
  for (const { partitions } of responses) {
    for (const { messages } of partitions) {
      for (const { value } of messages) if (value !== null) return value
    }
  }
  return undefined
}

function tooLarge(request: FetchRequest, maxBytes: number, cause: Error): SiderealError {
  const places = request.topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, fetchOffset }) => `${topic}/${partition} at ${fetchOffset}`),
  )
  return new SiderealError(
    'SIDEREAL_SOURCE_LOST',
    `a record batch unpacks to more than ${maxBytes} bytes, the share of it in SIDEREAL_MAX_MEMORY (one of ${places.join(', ')}): give the worker more memory, and let producers send smaller batches`,
    { cause },
  )
}
