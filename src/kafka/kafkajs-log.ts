import { type LogEntry, logLevel } from 'kafkajs'
import type { Logger } from '../telemetry/logger.ts'

const REPEAT_MS = 30_000
const MAX_REMEMBERED = 500
/** Fields of kafkajs that say something to an operator. All others (stacks, request bodies) stay out. */
const FIELDS = [
  'broker',
  'clientId',
  'groupId',
  'memberId',
  'topic',
  'partition',
  'error',
  'retryCount',
] as const

/**
 * A kafkajs `logCreator` that forwards to `logger`. Equal lines (numbers apart) within 30 s become one line with a count: an
 * outage makes kafkajs write dozens a second.
 */
export function forwardKafkajsLogs(
  logger: Logger,
  nowMs: () => number = () => performance.now(),
): () => (entry: LogEntry) => void {
  const seen = new Map<string, { untilMs: number; suppressed: number }>()
  return () => (entry) => {
    const message = String(entry.log.message)
    const key = `${entry.label} ${entry.namespace} ${message.replace(/\d+/g, '#')}`
    const now = nowMs()
    const last = seen.get(key)
    if (last !== undefined && now < last.untilMs) {
      last.suppressed++
      return
    }
    if (seen.size >= MAX_REMEMBERED) seen.clear()
    seen.set(key, { untilMs: now + REPEAT_MS, suppressed: 0 })

    const fields: Record<string, unknown> = { source: 'kafkajs', namespace: entry.namespace }
    for (const name of FIELDS) {
      if (entry.log[name] !== undefined) fields[name] = entry.log[name]
    }
    if (last !== undefined && last.suppressed > 0) fields['suppressed'] = last.suppressed
    if (entry.level === logLevel.ERROR) {
      // With a retry count it is an attempt that kafkajs repeats by itself, not yet a fault. An error code in a response is thrown
      // too: whoever asked knows whether it is one, such as a coordinator that is still loading on a new cluster.
      const isFault = entry.log['retryCount'] === undefined && !message.startsWith('Response ')
      if (isFault) logger.error(fields, message)
      else logger.warn(fields, message)
    } else if (entry.level === logLevel.WARN) logger.warn(fields, message)
    else if (entry.level === logLevel.INFO) logger.info(fields, message)
    else logger.debug(fields, message)
  }
}
