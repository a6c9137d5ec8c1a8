/**
 * A service in a process of its own that ends spans at a steady pace and says how many it has, until it is killed. Its settings come from the
 * environment. Prints its statistics every 50 ms; `SPANS` = how many spans it makes.
 */
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { initTracing } from '../../src/producer/index.ts'

const tracing = initTracing()
const name = process.env['SPAN_NAME'] ?? 'span'
const spans = Number(process.env['SPANS'])
let made = 0
let slowestMs = 0

setInterval(() => {
  for (let i = 0; i < 10 && made < spans; i++) {
    const startMs = performance.now()
    tracing.tracer
      .startSpan(`${name}-${made++}`, { attributes: { text: 'x'.repeat(500) } }, ROOT_CONTEXT)
      .end()
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
  }
}, 5)
setInterval(() => process.stdout.write(`${JSON.stringify({ made, slowestMs, ...tracing.stats() })}\n`), 50)
process.stdin.once('data', () => {
  void tracing.shutdown(60_000).then((isSafe) => {
    process.stdout.write(`${JSON.stringify({ made, slowestMs, isSafe, ...tracing.stats() })}\n`, () =>
      process.exit(0),
    )
  })
})
