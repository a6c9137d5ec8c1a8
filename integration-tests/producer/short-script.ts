/** A script that traces something, goes on until the record is on its way, and ends without a word to Sidereal. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { initTracing } from '../../src/producer/index.ts'

const tracing = initTracing()
tracing.tracer.startSpan('work', {}, ROOT_CONTEXT).end()
await sleep(1_500)
const { accepted, waiting, sent } = tracing.stats().spans
process.stdout.write(`${JSON.stringify({ accepted, waiting, sent })}\n`)
