import { isSiderealError } from '../model/errors.ts'

/** What `setup` or `doctor` found out about one thing. */
export interface Finding {
  /** `ok`: as it should be. `changed`: it was not, and now is. `warning`: works, but read it. `fault`: does not work. */
  readonly state: 'ok' | 'changed' | 'warning' | 'fault'
  /** Which thing, and where. */
  readonly subject: string
  /** What is so; with a fault or a warning also what to try. */
  readonly detail: string
}

/** How a check treats what is not as it should be: `check` reports it, `apply` mends what can be mended safely. */
export type SetupMode = 'check' | 'apply'

/** One line: mark, subject, detail. */
export function formatFinding({ state, subject, detail }: Finding): string {
  const mark = { ok: 'ok     ', changed: 'done   ', warning: 'WARNING', fault: 'FAULT  ' }[state]
  return `${mark} ${subject}: ${detail}`
}

/** The finding for an error that a check met: a fault of the thing, not of the check. */
export function faultOf(subject: string, error: unknown): Finding {
  if (isSiderealError(error)) return { state: 'fault', subject, detail: `${error.message} (${error.code})` }
  return { state: 'fault', subject, detail: error instanceof Error ? error.message : String(error) }
}

/**
 * Runs a check, at most for `timeoutMs`: whatever it throws becomes a fault, and so does silence.
 * What a check that ran out of time still does in the background is its own affair; the caller ends the process.
 */
export async function withDeadline(
  subject: string,
  timeoutMs: number,
  advice: string,
  check: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined
  const silence = new Promise<readonly Finding[]>((resolve) => {
    timer = setTimeout(() => {
      resolve([{ state: 'fault', subject, detail: `no answer within ${timeoutMs / 1000} s. ${advice}` }])
    }, timeoutMs)
  })
  const answer = check().catch((error: unknown): readonly Finding[] => [faultOf(subject, error)])
  try {
    return await Promise.race([answer, silence])
  } finally {
    clearTimeout(timer)
  }
}
