/** Sends an order to the service that `orders.ts` is. Its context travels in the headers of the record. */
import { Kafka } from 'kafkajs'
// A service writes: import { initTracing, Span, Trace } from 'sidereal/producer'
import { initTracing, Span, Trace } from '../../src/producer/index.ts'

const topic = process.env['ORDERS_TOPIC'] ?? 'orders'
const brokers = (process.env['SIDEREAL_KAFKA_BROKERS'] ?? '127.0.0.1:9092').split(',')
const order = process.argv[2] ?? 'order-1'
const tracing = initTracing()
const producer = new Kafka({ brokers, clientId: 'shop' }).producer()

await producer.connect()
await new Span({ appId: 'shop', uid: 'user-7' }).start('send order', async (span) => {
  await producer.send({ topic, messages: [{ value: order, headers: Trace.injectContext({}) }] })
  console.log(`SID ${span.sid}`)
})
await producer.disconnect()
if (!(await tracing.shutdown())) process.exitCode = 1
