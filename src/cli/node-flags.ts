/**
 * V8 lets its young generation grow to more than a hundred megabytes, which costs a worker a fifth of its memory and saves it no
 * CPU (measured on the benchmark, on a busy machine: 603 MB against 503 MB resident, 21.3 against 19.7 µs a span).
 */
const YOUNG_GENERATION_FLAG = '--max-semi-space-size'
const SEMI_SPACE_MB = 16

/**
 * Starts this very process again (same id, same files, same signals) with a small young generation, since V8 takes the size at its
 * start only. Returns when there is nothing to do: the flag is given, here or in `NODE_OPTIONS`, or this Node cannot do it.
 */
export function limitYoungGeneration(): void {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ')
  if (given.includes(YOUNG_GENERATION_FLAG) || process.execve === undefined) return
  const flag = `${YOUNG_GENERATION_FLAG}=${SEMI_SPACE_MB}`
  process.execve(process.execPath, [process.execPath, flag, ...process.execArgv, ...process.argv.slice(1)])
}
