/** The middle value; of an even number the mean of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle]!
  return (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Each figure's own median over several runs. */
export function medianFigures<Figures extends { readonly [Name in keyof Figures]: number }>(
  runs: readonly Figures[],
): Figures {
  const [first] = runs
  if (first === undefined) throw new Error('no run was made')
  const names = Object.keys(first) as (keyof Figures)[]
  return Object.fromEntries(
    names.map((name) => [name, median(runs.map((run) => run[name]))]),
  ) as unknown as Figures
}
