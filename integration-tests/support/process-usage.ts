import { readFileSync } from 'node:fs'

/** Kernel ticks a second of `/proc/<pid>/stat`: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

export interface ProcessUsage {
  /** User + system CPU of all threads since the process started. Seconds. */
  cpuSeconds: number
  /** Highest resident set since the process started. MiB. */
  peakRssMb: number
}

/** The operating system's own account of a running process (Linux). Throws when it is gone. */
export function processUsage(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is the command in brackets and may hold blanks: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const userTicks = Number(fields[11])
  const systemTicks = Number(fields[12])
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const highWater = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  if (highWater === null) throw new Error(`no VmHWM in /proc/${pid}/status`)
  return {
    cpuSeconds: (userTicks + systemTicks) / TICKS_PER_SECOND,
    peakRssMb: Number(highWater[1]) / 1024,
  }
}
