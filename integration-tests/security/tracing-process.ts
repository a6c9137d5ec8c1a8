/**
 * A service in a process of its own that is configured by the environment alone. Writes ten spans, tries for as long as it is told to bring them to Kafka,
 * and prints what became of them.
 */
import { initTracing } from '../../src/producer/index.ts'

const tracing = initTracing()
for (let i = 0; i < 10; i++) tracing.tracer.startSpan(`work ${i}`).end()
const isFlushed = await tracing.shutdown(Number(process.argv[2]))
process.stdout.write(`${JSON.stringify({ isFlushed, spans: tracing.stats().spans })}\n`)
process.exit(0)
