/** A service that a Kafka topic drives. Each record continues the trace of whoever sent it: the context is in the record's headers. */
import { Kafka } from 'kafkajs'
// A service writes: import { initTracing, NodeLog, NodeTraceLog, Span } from 'sidereal/producer'
import { initTracing, NodeLog, NodeTraceLog, Span } from '../../src/producer/index.ts'

const topic = process.env['ORDERS_TOPIC'] ?? 'orders'
const brokers = (process.env['SIDEREAL_KAFKA_BROKERS'] ?? '127.0.0.1:9092').split(',')
const tracing = initTracing()
const kafka = new Kafka({ brokers, clientId: 'orders' })
const consumer = kafka.consumer({ groupId: `${topic}-handlers` })

const admin = kafka.admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic }] }) // one that is there stays
await admin.disconnect()

await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  eachMessage: async ({ message }) => {
    // Your code vouches for these headers: feed it no topic that the public may write to.
    await new Span().start('handle order', { traceContext: message.headers ?? {} }, async (span) => {
      const order = String(message.value)
      const log = new NodeTraceLog({ flowId: 'orders', question: order })
      const node = new NodeLog({ nodeId: 'reserve:1', nodeType: 'reserve', nodeName: 'stock' })
      await span.start('reserve', (reserving) => reserve(order, reserving, node))
      node.setEnd()
      log.addNodeLog(node)
      log.setEnd()
      tracing.publishNodeTraceLog(log)
      console.log(`${order} ${span.sid}`)
    })
  },
})

async function reserve(order: string, span: Span, node: NodeLog): Promise<void> {
  span.addInfoEvent(`reserved ${order}`, node)
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    await consumer.disconnect()
    if (!(await tracing.shutdown())) process.exitCode = 1
  })
}
