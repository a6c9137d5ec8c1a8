/**
 * A service under load, in a process of its own: requests of four spans at an even pace, and a NodeTraceLog with every tenth. Its tracing is set by the
 * environment; `SPANS_PER_SECOND` is the pace, `SPAN_NAME` what names of spans and questions of logs begin with. Prints a `LoadedServiceLine` each
 * `SAMPLE_MS`; takes lines: `phase <name>` begins the figures of calls anew, `stop` ends the load, `end` shuts down.
 */
import { createHistogram } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { DROP_REASONS, type ItemStats } from '../../src/producer/delivery-counts.ts'
import { initTracing, NodeTraceLog } from '../../src/producer/index.ts'
import type { LoadedServiceLine } from './loaded-service.ts'

const SPANS_PER_REQUEST = 4
const REQUESTS_PER_LOG = 10
const TURN_MS = 10
const SHUTDOWN_MS = 60_000

const name = process.env['SPAN_NAME'] ?? 'span'
const spansPerMs = Number(process.env['SPANS_PER_SECOND'] ?? 400) / 1_000

const tracing = initTracing()
const calls = createHistogram()
const startedAt = Date.now() - performance.now()
let phase = 'start'
let spans = 0
let logs = 0
let thrown = 0
let inexact = 0

// What a service would die of.
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => {
    thrown += 1
    process.stderr.write(`${event}: ${error instanceof Error ? error.stack : error}\n`)
  })

function request(): void {
  const root = tracing.tracer.startSpan(`${name}-${spans++}`, { attributes: { text: TEXT } }, ROOT_CONTEXT)
  const inRoot = trace.setSpan(ROOT_CONTEXT, root)
  for (let i = 1; i < SPANS_PER_REQUEST; i++)
    tracing.tracer.startSpan(`${name}-${spans++}`, { attributes: { text: TEXT } }, inRoot).end()
  root.end()
  if ((spans / SPANS_PER_REQUEST) % REQUESTS_PER_LOG !== 0) return
  const log = new NodeTraceLog({ question: `${name}-log-${logs++}` })
  log.setEnd()
  tracing.publishNodeTraceLog(log)
}

const TEXT = 'what a node of the workflow was asked, and what it answered. '.repeat(5)

function isExact({ accepted, waiting, spooled, sent, dropped }: ItemStats, made: number): boolean {
  const all = waiting + spooled + sent + DROP_REASONS.reduce((sum, reason) => sum + dropped[reason], 0)
  return accepted === all && accepted >= made && waiting >= 0
}

let lastTurnMs = performance.now()
let due = 0
const load = setInterval(() => {
  const nowMs = performance.now()
  due += (nowMs - lastTurnMs) * spansPerMs
  lastTurnMs = nowMs
  for (; due >= SPANS_PER_REQUEST; due -= SPANS_PER_REQUEST) {
    const startMs = performance.now()
    request()
    calls.record(Math.max(1, Math.round((performance.now() - startMs) * 1e6)))
  }
  const stats = tracing.stats()
  if (!isExact(stats.spans, spans) || !isExact(stats.logs, logs)) inexact += 1
}, TURN_MS)

function line(isSafe?: boolean): LoadedServiceLine {
  const micros = (nanos: number) => nanos / 1e3
  const { rss, heapUsed, external } = process.memoryUsage()
  return {
    made: { spans, logs },
    thrown,
    inexact,
    phase,
    requestMicros: {
      p50: micros(calls.percentile(50)),
      p99: micros(calls.percentile(99)),
      max: micros(calls.max),
    },
    clockOffMs: Date.now() - performance.now() - startedAt,
    rssMb: rss / 2 ** 20,
    heapMb: heapUsed / 2 ** 20,
    externalMb: external / 2 ** 20,
    stats: tracing.stats(),
    ...(isSafe === undefined ? {} : { isSafe }),
  }
}

const say = (message: LoadedServiceLine, then?: () => void) =>
  process.stdout.write(`${JSON.stringify(message)}\n`, then)

setInterval(() => say(line()), Number(process.env['SAMPLE_MS'] ?? 100))
createInterface({ input: process.stdin }).on('line', (text) => {
  const [command, argument = ''] = text.split(' ')
  if (command === 'phase') {
    phase = argument
    calls.reset()
  }
  if (command === 'stop') clearInterval(load)
  if (command === 'end')
    void tracing.shutdown(SHUTDOWN_MS).then((isSafe) => say(line(isSafe), () => process.exit(0)))
})
