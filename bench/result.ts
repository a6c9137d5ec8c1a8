/** Figures of one run. CPU is user + system of the whole process, from its start to the last committed offset. */
export interface BenchResult {
  spans: number
  avroBytesPerSpan: number
  quietMs: number
  cpuMicrosPerSpan: number
  spansPerSecond: number
  peakRssMb: number
  peakOpenTraces: number
  clickhouseCpuMicrosPerSpan: number
  diskBytesPerSpan: number
  seconds: number
  /** See `calibrate`: before and after the run, on average. */
  calibrationMicrosPerSpan: number
}

/** The OpenTelemetry Collector, Kafka receiver → groupbytrace → ClickHouse, 480,000 spans on the reference machine. */
const COLLECTOR = { cpuMicrosPerSpan: 40, peakRssMb: 1300 }

/** A table for people; with `isJson` one more line, the last, for programs. */
export function printResult(result: BenchResult, options: { isJson: boolean }): void {
  const rows: [string, string, string][] = [
    ['', 'Sidereal', 'Collector (reference)'],
    [
      'CPU µs a span, whole process',
      result.cpuMicrosPerSpan.toFixed(1),
      COLLECTOR.cpuMicrosPerSpan.toFixed(1),
    ],
    ['peak RSS, MB', result.peakRssMb.toFixed(0), COLLECTOR.peakRssMb.toFixed(0)],
    ['spans/s', result.spansPerSecond.toFixed(0), ''],
    ['open traces at the peak', String(result.peakOpenTraces), ''],
    ['ClickHouse CPU µs a span', result.clickhouseCpuMicrosPerSpan.toFixed(1), ''],
    ['bytes on disk a span, all tables', result.diskBytesPerSpan.toFixed(0), ''],
    ['avsc decode of a span, CPU µs', result.calibrationMicrosPerSpan.toFixed(1), '3.7 (quiet)'],
  ]
  console.log(
    `${result.spans} spans, ${result.avroBytesPerSpan.toFixed(0)} B of Avro a span, ${result.seconds.toFixed(1)} s`,
  )
  for (const [name, ours, theirs] of rows)
    console.log(`${name.padEnd(34)}${ours.padStart(12)}${theirs.padStart(24)}`)
  if (options.isJson) {
    const rounded = Object.entries(result).map(([name, value]) => [name, Math.round(value * 100) / 100])
    console.log(JSON.stringify(Object.fromEntries(rounded)))
  }
}
