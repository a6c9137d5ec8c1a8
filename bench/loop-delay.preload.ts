/**
 * Loaded into a worker before its own code (`node --import`): says how long its event loop was held up. For each SIGUSR2 it adds a line of JSON to
 * the file that BENCH_LOOP_DELAY_FILE names, about the time since the last one.
 */
import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The histogram holds the time from one timer to the next: what is above this, something else took. */
const RESOLUTION_MS = 2

const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
histogram.enable()
const file = process.env['BENCH_LOOP_DELAY_FILE']
if (file === undefined) throw new Error('BENCH_LOOP_DELAY_FILE is missing')
process.on('SIGUSR2', () => {
  const inMs = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  appendFileSync(
    file,
    `${JSON.stringify({ p50Ms: inMs(histogram.percentile(50)), p99Ms: inMs(histogram.percentile(99)), maxMs: inMs(histogram.max) })}\n`,
  )
  histogram.reset()
})
