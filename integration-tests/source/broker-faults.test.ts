import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka, type KafkaConnection } from '../../src/kafka/client.ts'
import { freePorts } from '../../src/local/free-ports.ts'
import { KafkaServer } from '../../src/local/kafka-server.ts'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { isSiderealError, type SiderealError } from '../../src/model/errors.ts'
import type { Task, TaskHandler } from '../../src/model/task.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import type { Source } from '../../src/worker/source/source.ts'
import type { SourceOptions } from '../../src/worker/source/source-options.ts'
import { readTopic, runJava } from '../kafka/kafka-for-tests.ts'
import { Authority } from '../security/certificates.ts'
import { CommitAnswers } from '../support/commit-answers.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { isAllCommitted, kafkaFor, logEnds, makeSource, produce, until } from './source-for-tests.ts'

// Faults of a broker that want one of its own: behind doors, with users, with quotas.

const USER = { name: 'sidereal', password: 'first-password' }
const REAUTHENTICATE_MS = 15_000
const SESSION_MS = 6_000

const authority = new Authority()
const folder = makeTemporaryFolder('broker-faults')
const ports = await freePorts(5)
const [doorPort = 0] = ports.splice(0, 1)
const kafka = new KafkaServer({
  dataFolder: join(folder, 'kafka'),
  logFolder: join(folder, 'logs'),
  users: [USER],
  listeners: [
    {
      name: 'sasl',
      protocol: 'SASL_SSL',
      keyStorePath: authority.issue('server').keyStorePath,
      reauthenticateMs: REAUTHENTICATE_MS,
    },
  ],
  ports,
  proxyPorts: [doorPort],
})
await kafka.start()
const slow = new TcpProxy(`http://127.0.0.1:${kafka.proxiedPorts[0]}`)
const answers = new CommitAnswers(Number(new URL(await slow.start()).port))
await answers.start(doorPort)
after(async () => {
  await answers.close()
  await slow.close()
  await kafka.close()
})
await kafka.ready()
const brokers = [kafka.address]
const door = [`127.0.0.1:${doorPort}`]

interface Reader {
  readonly source: Source
  readonly fatal: SiderealError[]
  readonly taken: [partition: number, offset: number][]
}

/** Reads a topic and settles every record at once. */
function makeReader(connection: KafkaConnection, options: SourceOptions, requestTimeoutMs = 30_000): Reader {
  const fatal: SiderealError[] = []
  const taken: Reader['taken'] = []
  const nothing = () => undefined
  const handler = (task: Task): TaskHandler => ({
    onRecord: ({ offset }) => {
      taken.push([task.partition, offset])
      task.settle([offset])
      return 'taken'
    },
    onSkipped: nothing,
    onQuiet: nothing,
    onTick: nothing,
    onLost: nothing,
  })
  const source = makeSource(
    connection.brokers,
    options,
    handler,
    (error) => fatal.push(error),
    (clientId) => createKafka(connection, { clientId, logger: silentLogger, requestTimeoutMs }),
  )
  return { source, fatal, taken }
}

const fresh = (partitions: number): Promise<string> => freshTopic({ brokers }, { partitions })

/** Kafka's own tool for quotas and users. */
const configure = (kind: string, name: string, setting: string): Promise<string> =>
  runJava('kafka.admin.ConfigCommand', [
    ...['--bootstrap-server', kafka.address, '--alter', '--add-config', setting],
    ...['--entity-type', kind, '--entity-name', name],
  ])

/** Every error that a broker may answer a commit with. */
const COMMIT_ERRORS: Readonly<Record<string, number>> = {
  UNKNOWN_SERVER_ERROR: -1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  REQUEST_TIMED_OUT: 7,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  ILLEGAL_GENERATION: 22,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  INVALID_COMMIT_OFFSET_SIZE: 28,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  FENCED_INSTANCE_ID: 82,
  // Of a broker that is newer than all of us.
  'a code that nobody knows': 999,
}

describe('a source, when its broker', { concurrency: 3 }, () => {
  describe('answers commits', { concurrency: 1 }, () => {
    test('with any error: it counts as a failure, the next commit brings what it did not, and the group does not notice', async () => {
      const topic = await fresh(2)
      const groupId = freshName('group')
      const { source, fatal } = makeReader({ brokers: door }, { topic, groupId })
      await source.start()
      await produce(brokers, topic, 2, 10)
      await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
      for (const [name, code] of Object.entries(COMMIT_ERRORS)) {
        const { commitsFailed } = source.stats()
        const failed = answers.failNext(code)
        await produce(brokers, topic, 2, 10)
        await failed
        await until(`${name} counts as a failure`, () => source.stats().commitsFailed === commitsFailed + 1)
        await until(`all is committed after ${name}`, () => isAllCommitted(brokers, topic, groupId))
      }
      assert.deepEqual(fatal, [])
      assert.equal(source.stats().rebalances, 1)
      await source.close()
    })

    test('and everything else later than a request may take: all is read in order and committed, and what a producer is told is true', async () => {
      const topic = await fresh(2)
      const groupId = freshName('group')
      const { source, fatal, taken } = makeReader(
        { brokers: door },
        { topic, groupId, sessionTimeoutMs: 30_000 },
        2_000,
      )
      const late = createKafka(
        { brokers: door },
        { clientId: 'producer', logger: silentLogger, requestTimeoutMs: 2_000 },
      )
      await using producer = new CheckedProducer({ kafka: late, brokers: door, logger: silentLogger })
      await source.start()
      await produce(brokers, topic, 2, 200)
      await until('reading has begun', () => taken.length === 200)

      // There and back each, so that every answer comes, and comes after its request was given up.
      slow.delay(1_500)
      const sent = Array.from({ length: 40 }, async (_, i) => {
        // Over the time in which answers are late.
        await sleep(100 * i)
        const record = { key: Buffer.from(`key-${i}`), value: Buffer.from(`late ${i}`) }
        return (await producer.send(topic, [record]))[0]!
      })
      await produce(brokers, topic, 2, 200)
      await sleep(6_000)
      slow.delay(0)
      const places = await Promise.all(sent)

      await until('all is committed', () => isAllCommitted(brokers, topic, groupId), 120_000)
      assert.deepEqual(fatal, [])
      for (const partition of [0, 1]) {
        const offsets = taken.filter((place) => place[0] === partition).map((place) => place[1])
        assert.deepEqual(
          [...new Set(offsets)],
          Array.from({ length: Math.max(...offsets) + 1 }, (_, i) => i),
        )
      }
      const ends = [...(await logEnds(brokers, topic)).values()]
      const read = await readTopic(
        kafkaFor(brokers),
        topic,
        ends.reduce((sum, end) => sum + end, 0),
      )
      for (const [i, { partition, offset }] of places.entries()) {
        const found = read.find((one) => one.partition === partition && one.message.offset === String(offset))
        assert.equal(String(found?.message.value), `late ${i}`)
      }
      await source.close()
    })
  })

  test('throttles it for longer than a session: it stays in its group, and reads everything', async () => {
    const topic = await fresh(1)
    const groupId = freshName('group')
    const instanceId = freshName('throttled')
    const bytesPerSecond = 100_000
    await configure('clients', `sidereal-${instanceId}`, `consumer_byte_rate=${bytesPerSecond}`)
    const value = 'x'.repeat(10_000)
    const producer = kafkaFor(brokers).producer()
    await producer.connect()
    for (let i = 0; i < 20; i++) {
      await producer.send({ topic, messages: Array.from({ length: 10 }, () => ({ key: 'k', value })) })
    }
    await producer.disconnect()

    const { source, fatal, taken } = makeReader(
      { brokers },
      { topic, groupId, instanceId, maxBytesPerPartition: 100_000, sessionTimeoutMs: SESSION_MS },
    )
    const startedAt = performance.now()
    await source.start()
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId), 120_000)
    const tookMs = performance.now() - startedAt
    assert.ok(tookMs > SESSION_MS, `${tookMs} ms: it was not throttled`)
    assert.deepEqual(
      taken.map(([, offset]) => offset),
      Array.from({ length: 200 }, (_, i) => i),
    )
    assert.equal(source.stats().rebalances, 1)
    assert.deepEqual(fatal, [])
    await source.close()
  })

  test('takes its password no longer: it reads on while its session lasts, ends with a clear line, and the right password goes on where it was', async () => {
    const topic = await fresh(1)
    const groupId = freshName('group')
    const connect = (password: string): Reader =>
      makeReader(
        {
          brokers: [kafka.listenerAddress('sasl')],
          tls: { caPath: authority.caPath },
          sasl: { mechanism: 'scram-sha-256', username: USER.name, password },
        },
        { topic, groupId, startTimeoutMs: 15_000 },
      )
    const first = connect(USER.password)
    await first.source.start()
    await produce(brokers, topic, 1, 50)
    await until('reading has begun', () => first.taken.length === 50)
    await configure('users', USER.name, 'SCRAM-SHA-256=[password=second-password]')
    await until('the source ends', () => first.fatal.length > 0)
    assert.equal(first.fatal[0]?.code, 'SIDEREAL_SOURCE_LOST')
    assert.match(first.fatal[0].message, /refuse the credentials; check SIDEREAL_KAFKA_SASL_USERNAME/)
    await first.source.close()

    await produce(brokers, topic, 1, 50)
    const error: unknown = await connect(USER.password)
      .source.start()
      .then(
        () => assert.fail('it started'),
        (reason: unknown) => reason,
      )
    assert.ok(isSiderealError(error))
    assert.equal(error.code, 'SIDEREAL_KAFKA_UNAVAILABLE')
    assert.match(error.message, /refuse the credentials.*SIDEREAL_KAFKA_SASL_PASSWORD/)

    const second = connect('second-password')
    await second.source.start()
    await until('all is committed', () => isAllCommitted(brokers, topic, groupId))
    const offsets = new Set([...first.taken, ...second.taken].map(([, offset]) => offset))
    assert.equal(offsets.size, 100)
    await second.source.close()
  })
})
