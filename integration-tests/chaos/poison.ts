import { bundledSchema } from '../../src/codec/bundled-schemas.ts'
import { RecordWriter } from '../../src/codec/record-writer.ts'
import { SchemaRegistry, subjectFor } from '../../src/codec/schema-registry.ts'
import type { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import { testBatch, testLog, testSpan } from '../../src/sinks/fragments.testing.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic } from '../kafka/kafka-for-tests.ts'
import { type BadRecord, badRecords } from '../support/bad-records.ts'

/** On every poison record, and kept by the dead letter: which one it was. */
const HEADER = 'chaos-poison'
const SID = 'sid-poison'
const READ_MS = 120_000

export interface PoisonOptions {
  readonly producer: CheckedProducer
  readonly topic: string
  readonly registryUrl: string
  readonly perSecond: number
  /** Poison goes to each in turn, whatever its key. */
  readonly partitions: number
}

export interface PoisonVerdict {
  readonly sent: number
  readonly letters: number
  /** Letters beyond the first of a record: work done twice, or a record that the producer's retry doubled. */
  readonly repeated: number
  readonly omittedValues: number
  /** One line each: missing, foreign, or with another reason than expected. */
  readonly problems: readonly string[]
}

/** Sends bad records of every kind, in turn, while all else goes on. */
export class Poison {
  readonly #options: PoisonOptions
  readonly #kinds: readonly BadRecord[]
  /** By number: kind, and whether Kafka acknowledged it. */
  readonly #sent = new Map<number, { kind: BadRecord; isAcknowledged: boolean }>()
  #timer: NodeJS.Timeout | undefined
  #next = 0

  private constructor(options: PoisonOptions, kinds: readonly BadRecord[]) {
    this.#options = options
    this.#kinds = kinds
  }

  static async open(options: PoisonOptions): Promise<Poison> {
    const { topic, registryUrl } = options
    const registry = new SchemaRegistry({ url: registryUrl, timeoutMs: 10_000, payloadLimitBytes: 5_120 })
    const writer = new RecordWriter()
    const idOf = (name: 'sidereal.SpanBatch' | 'sidereal.NodeTraceLog') =>
      registry.register(subjectFor(topic, name), bundledSchema(name).json)
    const foreign = JSON.stringify({
      type: 'record',
      name: 'Order',
      fields: [{ name: 'id', type: 'string' }],
    })
    const batch = testBatch({ sid: SID, spans: [testSpan()] })
    const kinds = badRecords({
      sid: SID,
      spans: writer.encodeSpanBatch(batch, await idOf('sidereal.SpanBatch')),
      log: writer.encodeNodeTraceLog(testLog({ sid: SID }), await idOf('sidereal.NodeTraceLog')),
      foreignSchemaId: await registry.register('chaos-orders', foreign),
    })
    return new Poison(options, kinds)
  }

  start(): void {
    this.#timer = setInterval(() => void this.#send(), 1_000 / this.#options.perSecond)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Holds the dead-letter topic against what was sent: each acknowledged one is there, with its bytes and reason, and nothing else is. */
  async verify(brokers: readonly string[], deadLetterTopic: string): Promise<PoisonVerdict> {
    const kafka = createKafka({ brokers }, { clientId: 'chaos-poison', logger: silentLogger })
    const admin = kafka.admin()
    await admin.connect()
    const offsets = await admin.fetchTopicOffsets(deadLetterTopic).finally(() => admin.disconnect())
    const count = offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
    const letters = count === 0 ? [] : await readTopic(kafka, deadLetterTopic, count, READ_MS)
    const problems: string[] = []
    const seen = new Map<number, number>()
    let omittedValues = 0
    for (const { partition, message } of letters) {
      const header = (name: string) => message.headers?.[name]?.toString()
      const number = Number(header(HEADER))
      const sent = this.#sent.get(number)
      const where = `letter ${partition}/${message.offset} (${header(DEAD_LETTER_HEADERS.reason)}: ${header(DEAD_LETTER_HEADERS.exceptionMessage)})`
      if (sent === undefined) {
        problems.push(`${where} is of a record that was good`)
        continue
      }
      seen.set(number, (seen.get(number) ?? 0) + 1)
      const { kind } = sent
      if (header(DEAD_LETTER_HEADERS.reason) !== kind.reason)
        problems.push(`${where} should say ${kind.reason}, for ${kind.what}`)
      const isOmitted = header(DEAD_LETTER_HEADERS.omittedValueSha256) !== undefined
      if (isOmitted) omittedValues += 1
      else if (!isSame(message.value, kind.value))
        problems.push(`${where} holds other bytes than ${kind.what}`)
    }
    for (const [number, { kind, isAcknowledged }] of this.#sent) {
      if (isAcknowledged && !seen.has(number)) problems.push(`no letter for poison ${number}: ${kind.what}`)
    }
    const acknowledged = [...this.#sent.values()].filter(({ isAcknowledged }) => isAcknowledged).length
    const repeated = [...seen.values()].reduce((sum, times) => sum + times - 1, 0)
    return { sent: acknowledged, letters: letters.length, repeated, omittedValues, problems }
  }

  async #send(): Promise<void> {
    const number = this.#next++
    const kind = this.#kinds[number % this.#kinds.length]!
    const entry = { kind, isAcknowledged: false }
    this.#sent.set(number, entry)
    const key = kind.key === null ? null : Buffer.from(kind.key)
    const record = {
      key,
      value: kind.value,
      headers: { [HEADER]: String(number) },
      partition: number % this.#options.partitions,
    }
    try {
      await this.#options.producer.send(this.#options.topic, [record])
      entry.isAcknowledged = true
    } catch {
      // Not acknowledged: its letter may be there or not.
    }
  }
}

/** True for a record that came from here. */
export function isPoison(headers: Readonly<Record<string, unknown>> | undefined): boolean {
  return headers?.[HEADER] !== undefined
}

function isSame(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other)
}
