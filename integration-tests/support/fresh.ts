import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { waitForLeaders } from '../../src/audit/setup-topics.ts'
import { patchTimerSpin } from '../../src/kafka/kafkajs-patch.ts'
import type { TestServers } from './servers.ts'

const LOGS_TIMEOUT_MS = 60_000

/** A name that no other test, file or run has: for topics, groups, client ids, prefixes. Letters, digits and `-` only. */
export function freshName(what: string): string {
  return `${what}-${randomBytes(6).toString('hex')}`
}

export interface FreshTopicOptions {
  partitions?: number
  /** Topic configuration beside `message.timestamp.type=LogAppendTime`. */
  config?: Record<string, string>
  /** The brokers of each partition. Default: one each, where Kafka likes. */
  replicas?: readonly (readonly number[])[]
}

/** Makes a topic as `setup` would and gives its name. */
export async function freshTopic(
  servers: Pick<TestServers, 'brokers'>,
  options: FreshTopicOptions = {},
): Promise<string> {
  const topic = freshName('topic')
  const { replicas } = options
  const partitions = replicas?.length ?? options.partitions ?? 3
  const config = {
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': '8388608',
    ...options.config,
  }
  patchTimerSpin()
  const kafka = new Kafka({ brokers: servers.brokers, clientId: 'sidereal-test', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    await admin.createTopics({
      waitForLeaders: false,
      topics: [
        {
          topic,
          ...(replicas === undefined
            ? { numPartitions: partitions, replicationFactor: 1 }
            : {
                replicaAssignment: replicas.map((nodes, partition) => ({ partition, replicas: [...nodes] })),
              }),
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
    })
    await waitForLeaders(admin, { topic, partitions })
    // A leader is known before it has opened its log; what is sent in between comes twice, which tests would have to allow for.
    await waitForLogs(admin, topic)
  } finally {
    await admin.disconnect()
  }
  return topic
}

async function waitForLogs(admin: Admin, topic: string): Promise<void> {
  const deadline = performance.now() + LOGS_TIMEOUT_MS
  for (;;) {
    try {
      await admin.fetchTopicOffsets(topic)
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await sleep(100)
  }
}

/** Makes an empty ClickHouse database, dropped at the end of the test file, and gives its name. */
export async function freshDatabase(servers: TestServers): Promise<string> {
  const database = freshName('test').replaceAll('-', '_')
  await runStatement(servers, `CREATE DATABASE ${database}`)
  servers.beforeClose(() => runStatement(servers, `DROP DATABASE IF EXISTS ${database} SYNC`))
  return database
}

/** Gives an object store URL with a prefix of its own in a bucket that exists. */
export async function freshObjectStore(servers: TestServers): Promise<string> {
  const store = new URL(servers.env['SIDEREAL_OBJECT_STORE'] ?? 's3://sidereal')
  await ensureBucket(servers, store.hostname)
  return `s3://${store.hostname}/${freshName('test')}`
}

async function ensureBucket(servers: TestServers, bucket: string): Promise<void> {
  const client = new S3Client({
    endpoint: servers.s3Endpoint,
    region: servers.env['AWS_REGION'] ?? 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: servers.env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: servers.env['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  })
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } catch (error) {
    // Another test file may have made it in the meantime; what counts is that it is there.
    await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(() => {
      throw error
    })
  } finally {
    client.destroy()
  }
}

async function runStatement(servers: TestServers, statement: string): Promise<void> {
  const response = await fetch(servers.clickhouseUrl, {
    method: 'POST',
    body: statement,
    headers: {
      'X-ClickHouse-User': servers.env['SIDEREAL_CLICKHOUSE_USERNAME'] ?? 'default',
      'X-ClickHouse-Key': servers.env['SIDEREAL_CLICKHOUSE_PASSWORD'] ?? '',
    },
  })
  const answer = await response.text()
  if (!response.ok) throw new Error(`ClickHouse refused "${statement}": ${answer}`)
}
