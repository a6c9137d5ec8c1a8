import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process as the system knows it. Pids are used again; a pid with its start time is not. */
export interface ProcessIdentity {
  pid: number
  /** Start time in the system's own form: clock ticks since boot on Linux, a date on macOS. Compared, never parsed. */
  startedAt: string
}

/** True when a process of that pid exists, ours or not. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return readStat(pid)?.state !== 'Z'
}

/** Reads who has this pid now; undefined when nobody has. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  if (!isProcessAlive(pid)) return undefined
  const startedAt = process.platform === 'linux' ? readStat(pid)?.startTicks : startedAtByPs(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

/** True when the process that was identified is still the one that has the pid. */
export function isSameProcess(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startedAt === identity.startedAt
}

function readStat(pid: number): { state: string; startTicks: string } | undefined {
  if (process.platform !== 'linux') return undefined
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
  // The second field is the command in brackets and may hold blanks and brackets itself: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  const startTicks = fields[19]
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks }
}

function startedAtByPs(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return line === '' ? undefined : line
  } catch (error) {
    if ((error as { status?: number }).status === 1) return undefined
    throw error
  }
}
