/**
 * Runs ways of doing the same by turns, `rounds` times each, and prints the CPU time of each in microseconds a span: median and least.
 * @param run does it once, by the named way, and gives the number of spans
 */
export function compareByTurns<Way extends string>(
  ways: readonly Way[],
  rounds: number,
  run: (way: Way) => { spans: number; cpu: NodeJS.CpuUsage },
): void {
  const figures = new Map(ways.map((way) => [way, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      const { spans, cpu } = run(way)
      figures.get(way)?.push((cpu.user + cpu.system) / spans)
    }
  }
  for (const [way, values] of figures) {
    values.sort((a, b) => a - b)
    const median = values[values.length >> 1] ?? 0
    process.stdout.write(
      `${way.padEnd(8)} ${median.toFixed(2)} µs of CPU a span (median of ${rounds}, least ${values[0]?.toFixed(2)})\n`,
    )
  }
}
