import type { Admin, Kafka, Message, Producer, RecordMetadata, RetryOptions } from 'kafkajs'
import type { Logger } from '../telemetry/logger.ts'
import { type Compression, compressionType } from './codecs.ts'
import { createPartitioner } from './partitioner.ts'
import { BatchMessage, ProduceEncoder, patchProduce } from './produce-request.ts'
import type { ProduceBatch } from './topic-lanes.ts'

/** What the checked producer needs of kafkajs; a test gives a fake that shows faults which no broker shows on demand. */
export type KafkaClients = Pick<Kafka, 'producer' | 'admin'>

/** kafkajs's own attempts are few: the checked producer repeats by itself, with a fresh map of replies and fresh metadata. */
const RETRY: RetryOptions = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1000, retries: 3 }
const ACK_TIMEOUT_MS = 20_000
const DISCONNECT_TIMEOUT_MS = 5_000

/** A connected kafkajs producer with the admin client that reads metadata. Thrown away after a failure: kafkajs may keep dead brokers. */
export class ProducerConnection {
  readonly #producer: Producer
  readonly #admin: Admin
  readonly #logger: Logger
  readonly #compression: Compression
  /** Undefined when kafkajs is not the one that is known: it then writes its requests itself. */
  readonly #encoder: ProduceEncoder | undefined
  #connected: Promise<void> | undefined
  #inFlight = 0
  #retired = false
  #closed: Promise<void> | undefined

  constructor(kafka: KafkaClients, compression: Compression, logger: Logger) {
    this.#producer = kafka.producer({
      createPartitioner,
      allowAutoTopicCreation: false,
      // Not idempotent: kafkajs loses acknowledged records in that mode when a reply is lost under concurrent sends.
      idempotent: false,
      metadataMaxAge: 60_000,
      retry: RETRY,
    })
    this.#admin = kafka.admin({ retry: RETRY })
    this.#compression = compression
    this.#encoder = patchProduce() ? new ProduceEncoder(compression) : undefined
    this.#logger = logger
  }

  get isRetired(): boolean {
    return this.#retired
  }

  connect(): Promise<void> {
    this.#connected ??= Promise.all([this.#producer.connect(), this.#admin.connect()]).then(() => undefined)
    return this.#connected
  }

  /** The leader (node id) of each partition of a topic. */
  leaders(topic: string): Promise<number[]> {
    return this.#use(async () => {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] })
      const leaders: number[] = []
      for (const { partitionId, leader } of topics.find(({ name }) => name === topic)?.partitions ?? [])
        leaders[partitionId] = leader
      return leaders
    })
  }

  /** Sends with acks from all in-sync replicas. What the reply lists is written; what it lacks may not be. */
  produce(topic: string, batches: readonly ProduceBatch[]): Promise<RecordMetadata[]> {
    return this.#use(() =>
      this.#producer.send({
        topic,
        acks: -1,
        timeout: ACK_TIMEOUT_MS,
        compression: compressionType(this.#compression),
        messages: batches.flatMap((batch) => this.#messages(batch)),
      }),
    )
  }

  #messages({ partition, records }: ProduceBatch): Message[] {
    const plain = records.map(({ record }) => record)
    if (this.#encoder !== undefined) return [new BatchMessage(partition, plain, this.#encoder)]
    return plain.map(({ key, value, headers }) => ({
      key,
      value,
      partition,
      ...(headers === undefined ? {} : { headers }),
    }))
  }

  /** No further use; disconnects when the last call has ended. */
  retire(): void {
    this.#retired = true
    if (this.#inFlight === 0) this.#tidyAway()
  }

  /** Disconnects, in at most so long. */
  close(timeoutMs: number): Promise<void> {
    this.#closed ??= this.#disconnect(Math.min(timeoutMs, DISCONNECT_TIMEOUT_MS), true)
    return this.#closed
  }

  /** Nobody waits for it, and the end of the process need not either. */
  #tidyAway(): void {
    this.#closed ??= this.#disconnect(DISCONNECT_TIMEOUT_MS, false)
  }

  async #use<T>(call: () => Promise<T>): Promise<T> {
    this.#inFlight++
    try {
      await this.connect()
      return await call()
    } finally {
      this.#inFlight--
      if (this.#retired && this.#inFlight === 0) this.#tidyAway()
    }
  }

  async #disconnect(timeoutMs: number, isAwaited: boolean): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('timeout'), timeoutMs)
      if (!isAwaited) timer.unref()
    })
    const disconnected = Promise.all([this.#producer.disconnect(), this.#admin.disconnect()]).then(
      () => 'done',
      (error: unknown) => {
        this.#logger.debug({ error: String(error) }, 'kafkajs failed to disconnect')
        return 'failed'
      },
    )
    // kafkajs waits for replies that a dead broker never sends.
    if ((await Promise.race([disconnected, timeout])) === 'timeout') {
      this.#logger.debug({}, 'kafkajs did not disconnect in time')
    }
    clearTimeout(timer)
  }
}
