import { setTimeout as sleep } from 'node:timers/promises'
import type { TcpProxy } from '../support/tcp-proxy.ts'
import type { Doors } from './chaos-stack.ts'
import type { Fault, FaultContext } from './fault.ts'

const DOWN_MS = 10_000
const WHOLE_MS = 240_000
const POLL_MS = 500
/** A fake: SeaweedFS cannot be made to say it. The words are those of Amazon S3. */
const SLOW_DOWN_XML =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
const SLOW_DOWN = [
  'HTTP/1.1 503 Slow Down',
  'content-type: application/xml',
  `content-length: ${Buffer.byteLength(SLOW_DOWN_XML)}`,
  'connection: close',
  '',
  SLOW_DOWN_XML,
].join('\r\n')

/** What happens to servers. */
export const SERVER_FAULTS: readonly Fault[] = [
  {
    name: 'broker stopped',
    about:
      'SIGTERM of a random broker of three; started again after 10 s; over when all replicas are in sync',
    inject: (context) => withoutBroker(context, context.random.integer(0, 2), 'close'),
  },
  {
    name: 'broker killed',
    about: 'kill -9 of a random broker, else as above',
    inject: (context) => withoutBroker(context, context.random.integer(0, 2), 'kill'),
  },
  {
    name: 'coordinator killed',
    about: "kill -9 of the broker that is the group's coordinator, else as above",
    inject: async (context) => withoutBroker(context, await context.group.coordinator(), 'kill'),
  },
  {
    name: 'all brokers killed',
    about: 'kill -9 of all three brokers at once, else as above',
    inject: async (context) => {
      const brokers = context.chaos.stack.kafka?.brokers ?? []
      await Promise.all(brokers.map((broker) => broker.kill()))
      await sleep(DOWN_MS)
      await Promise.all(brokers.map((broker) => broker.start()))
      await untilWhole(context)
    },
  },
  {
    name: 'ClickHouse killed',
    about: 'kill -9 of ClickHouse; started again after 15 s',
    inject: async ({ chaos }) => {
      await chaos.stack.clickhouse?.process?.kill()
      await sleep(15_000)
      await chaos.stack.clickhouse?.process?.start()
      await chaos.stack.clickhouse?.ready()
    },
  },
  {
    name: 'ClickHouse hangs',
    about:
      'for 20 s ClickHouse takes connections and answers nothing; those connections stay silent afterwards',
    inject: ({ chaos }) => hang(chaos.doors.clickhouse, 20_000),
  },
  {
    name: 'S3 killed',
    about: 'kill -9 of SeaweedFS; started again after 15 s',
    inject: async ({ chaos }) => {
      await chaos.stack.seaweedfs?.process?.kill()
      await sleep(15_000)
      await chaos.stack.seaweedfs?.process?.start()
      await chaos.stack.seaweedfs?.ready()
    },
  },
  {
    name: 'S3 says SlowDown',
    about: 'for 20 s each request to S3 is answered by 503 SlowDown (a fake answer)',
    inject: async ({ chaos }) => {
      chaos.doors.s3.answerWith(SLOW_DOWN)
      await sleep(20_000)
      chaos.doors.s3.set('open')
    },
  },
  {
    name: 'OTLP receiver hangs',
    about: 'for 20 s the OTLP receiver (a best-effort sink) takes connections and answers nothing',
    inject: ({ chaos }) => hang(chaos.doors.otlp, 20_000),
  },
  {
    name: 'registry killed',
    about: 'kill -9 of the registry for 15 s, while records of a schema come that no worker has seen',
    inject: async ({ chaos, canaries }) => {
      const schema = await canaries.newSchema()
      await chaos.stack.registry?.process?.kill()
      canaries.useSchema(schema)
      await sleep(15_000)
      await chaos.stack.registry?.process?.start()
      await chaos.stack.registry?.ready()
    },
  },
  {
    name: 'dead letters refused',
    about: 'for 20 s the dead-letter topic refuses every record (max.message.bytes = 10)',
    inject: async ({ group }) => {
      await group.setDeadLetterLimit(10)
      await sleep(20_000)
      await group.setDeadLetterLimit(9 * 1024 * 1024)
    },
  },
  {
    name: 'records sent again',
    about: 'about 1,000 records of the last seconds are sent again, in random order',
    inject: async ({ sendAgain, measured }) => {
      measured('records sent again', await sendAgain())
    },
  },
  {
    name: 'slow network',
    about: 'for 20 s each packet between workers and all servers takes 100 to 300 ms longer',
    inject: async ({ chaos, random }) => {
      const doors = allDoors(chaos.doors)
      for (const door of doors) door.delay(random.integer(100, 300))
      await sleep(20_000)
      for (const door of doors) door.delay(0)
    },
  },
  {
    name: 'connections cut',
    about: 'for 20 s all connections between workers and a random server are cut every 1 to 3 s',
    inject: async ({ chaos, random }) => {
      const doors = allDoors(chaos.doors)
      const endMs = performance.now() + 20_000
      while (performance.now() < endMs) {
        random.pick(doors).cut()
        await sleep(random.integer(1_000, 3_000))
      }
    },
  },
  {
    name: 'Kafka half-open',
    about:
      'for 15 s one broker takes what workers send and nothing comes back; connections of that time stay silent for ever',
    inject: ({ chaos, random }) => hang(random.pick(chaos.doors.kafka), 15_000),
  },
]

async function withoutBroker(context: FaultContext, place: number, how: 'close' | 'kill'): Promise<void> {
  const { chaos, say } = context
  const broker = chaos.stack.kafka?.brokers[place]
  say(`broker ${place + 1} of 3`)
  await broker?.[how]()
  await sleep(DOWN_MS)
  await broker?.start()
  await untilWhole(context)
}

async function untilWhole({ group }: FaultContext): Promise<void> {
  for (const deadline = performance.now() + WHOLE_MS; !(await group.isWhole()); await sleep(POLL_MS)) {
    if (performance.now() > deadline) throw new Error(`the replicas are not in sync after ${WHOLE_MS} ms`)
  }
}

async function hang(door: TcpProxy, ms: number): Promise<void> {
  door.set('hanging')
  await sleep(ms)
  door.reopen()
}

function allDoors(doors: Doors): readonly TcpProxy[] {
  return [...doors.kafka, doors.clickhouse, doors.s3, doors.registry, doors.otlp]
}
