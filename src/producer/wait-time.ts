/** The longest that a timer of Node waits for: of more, and of Infinity, it makes one millisecond. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Waits for work that may never end, in at most the time given. */
export async function waitAtMost(timeoutMs: number, work: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  try {
    await Promise.race([work, timeUp])
  } finally {
    clearTimeout(timer)
  }
}

/** The time that somebody gave for a wait, as a timer has it. What is no number is none. */
export function waitTime(timeoutMs: number): number {
  return timeoutMs > 0 ? Math.min(timeoutMs, MAX_TIMER_MS) : 0
}
