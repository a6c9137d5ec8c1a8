import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Admin } from 'kafkajs'
import { kafkaFault } from '../kafka/kafka-error.ts'
import { SiderealError } from '../model/errors.ts'
import type { Finding, SetupMode } from './finding.ts'

export interface TopicRule {
  readonly topic: string
  readonly partitions: number
  /** Lowest `max.message.bytes`. */
  readonly maxMessageBytes: number
}

const MEBIBYTE = 1024 * 1024

/** The two topics of Sidereal. A dead letter carries headers beside the record that it holds, hence the larger limit. */
export function topicRules(topics: { traces: string; deadLetters: string; partitions: number }): TopicRule[] {
  const { partitions } = topics
  return [
    { topic: topics.traces, partitions, maxMessageBytes: 8 * MEBIBYTE },
    { topic: topics.deadLetters, partitions, maxMessageBytes: 9 * MEBIBYTE },
  ]
}

const TIMESTAMP_TYPE = 'message.timestamp.type'
const MAX_MESSAGE_BYTES = 'max.message.bytes'
const MAX_REPLICAS = 3
/** Kafka's number for a setting that was made on the topic itself. */
const SOURCE_TOPIC = 1

/** Creates the topics that are missing and mends what can be mended without harm to records that are there. */
export async function setupTopics(
  admin: Admin,
  rules: readonly TopicRule[],
  mode: SetupMode,
): Promise<Finding[]> {
  const existing = new Set(await admin.listTopics())
  const { brokers } = await admin.describeCluster()
  const findings: Finding[] = []
  for (const rule of rules) {
    if (existing.has(rule.topic)) findings.push(...(await inspectTopic(admin, rule, mode)))
    else if (mode === 'apply')
      findings.push(await createTopic(admin, rule, Math.min(MAX_REPLICAS, brokers.length)))
    else
      findings.push({
        state: 'fault',
        subject: subjectOf(rule),
        detail: 'does not exist. Run "sidereal setup", or check its name.',
      })
  }
  return findings
}

async function createTopic(admin: Admin, rule: TopicRule, replicas: number): Promise<Finding> {
  const { topic, partitions, maxMessageBytes } = rule
  const configEntries = [
    { name: TIMESTAMP_TYPE, value: 'LogAppendTime' },
    { name: MAX_MESSAGE_BYTES, value: String(maxMessageBytes) },
  ]
  if (replicas >= MAX_REPLICAS)
    configEntries.push({ name: 'min.insync.replicas', value: String(replicas - 1) })
  await admin.createTopics({
    waitForLeaders: false,
    topics: [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }],
  })
  await waitForLeaders(admin, rule)
  return {
    state: 'changed',
    subject: subjectOf(rule),
    detail: `created with ${partitions} partitions and ${replicas} replica(s)`,
  }
}

const LEADERS_TIMEOUT_MS = 20_000
const POLL_MS = 100

/** A new topic is not known to every broker at once, and for a moment answers that it does not exist are wrong. */
export async function waitForLeaders(
  admin: Admin,
  { topic, partitions }: Pick<TopicRule, 'topic' | 'partitions'>,
): Promise<void> {
  const deadline = performance.now() + LEADERS_TIMEOUT_MS
  for (;;) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const led = topics[0]?.partitions.filter(({ leader }) => leader >= 0).length ?? 0
      if (led >= partitions) return
    } catch (error) {
      if (kafkaFault(error) !== 'topic') throw error
    }
    if (performance.now() > deadline) {
      throw new SiderealError(
        'SIDEREAL_TOPIC_INVALID',
        `topic ${topic} was made, but not all of its partitions have a leader after ${LEADERS_TIMEOUT_MS / 1000} s. Check the brokers, and repeat "sidereal setup".`,
        { retryable: true },
      )
    }
    await sleep(POLL_MS)
  }
}

async function inspectTopic(admin: Admin, rule: TopicRule, mode: SetupMode): Promise<Finding[]> {
  const { topic, partitions, maxMessageBytes } = rule
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  })
  const settings = described.resources[0]?.configEntries ?? []
  const value = (name: string) => settings.find(({ configName }) => configName === name)?.configValue ?? ''
  const wanted = new Map<string, string>()
  const faults: string[] = []
  if (value(TIMESTAMP_TYPE) !== 'LogAppendTime') {
    faults.push(
      `${TIMESTAMP_TYPE} is ${value(TIMESTAMP_TYPE)} and must be LogAppendTime, since traces are closed by the broker’s time`,
    )
    wanted.set(TIMESTAMP_TYPE, 'LogAppendTime')
  }
  if (Number(value(MAX_MESSAGE_BYTES)) < maxMessageBytes) {
    faults.push(`${MAX_MESSAGE_BYTES} is ${value(MAX_MESSAGE_BYTES)} and must be at least ${maxMessageBytes}`)
    wanted.set(MAX_MESSAGE_BYTES, String(maxMessageBytes))
  }
  const findings: Finding[] = []
  if (wanted.size > 0 && mode === 'apply') {
    // The request replaces every setting of the topic, so those that others made go with it.
    const kept = settings.filter(
      ({ configSource, configName }) => Number(configSource) === SOURCE_TOPIC && !wanted.has(configName),
    )
    const configEntries = kept.map(({ configName, configValue }) => ({
      name: configName,
      value: configValue,
    }))
    for (const [name, text] of wanted) configEntries.push({ name, value: text })
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }],
    })
    findings.push({
      state: 'changed',
      subject: subjectOf(rule),
      detail: [...wanted].map(([name, text]) => `${name} set to ${text}`).join(', '),
    })
  } else if (wanted.size > 0) {
    findings.push({
      state: 'fault',
      subject: subjectOf(rule),
      detail: `${faults.join('; ')}. Run "sidereal setup".`,
    })
  }
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  const found = metadata.topics[0]?.partitions ?? []
  const leaderless = found.filter(({ leader }) => leader < 0).length
  if (leaderless > 0) {
    findings.push({
      state: 'fault',
      subject: subjectOf(rule),
      detail: `${leaderless} of ${found.length} partitions have no leader. Check the brokers.`,
    })
  }
  if (found.length !== partitions) {
    findings.push({
      state: 'warning',
      subject: subjectOf(rule),
      detail: `has ${found.length} partitions and not ${partitions}. Left as it is: another number moves SIDs to other partitions, so that traces which are open then come in two fragments. Set SIDEREAL_TOPIC_PARTITIONS to the number that is there.`,
    })
  }
  if (findings.length === 0)
    findings.push({
      state: 'ok',
      subject: subjectOf(rule),
      detail: `${found.length} partitions, LogAppendTime`,
    })
  return findings
}

function subjectOf(rule: TopicRule): string {
  return `topic ${rule.topic}`
}
