import type { Config } from '../config/config.ts'
import { LogDestination } from '../telemetry/log-destination.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'

const STANDARD_ERROR = 2

/** Commands that print a result log to standard error, and only what deserves attention unless told otherwise. */
export function cliLogger(config: Config): Logger {
  const level = config.log.level === 'info' ? 'warn' : config.log.level
  return createLogger({ level, destination: new LogDestination(STANDARD_ERROR) })
}
