import { diag } from '@opentelemetry/api'
import type { Logger } from '../telemetry/logger.ts'
import { plainText } from './foreign-values.ts'

/**
 * Does what a service asked its tracing for. What it gave may be anything: that it could not be done is told to OpenTelemetry's `diag`, and is
 * no reason to fail the service's request.
 */
export function harmless<T>(work: () => T, otherwise: T): T {
  try {
    return work()
  } catch (error) {
    diag.error(`a call of the tracing could not be done as it was asked: ${plainText(error)}`)
    return otherwise
  }
}

/** A logger of the service's own, which may be closed before the tracing is: `shutdown` never rejects, also then. */
export function harmlessLogger(logger: Logger): Logger {
  return {
    debug: (fields, message) => harmless(() => logger.debug(fields, message), undefined),
    info: (fields, message) => harmless(() => logger.info(fields, message), undefined),
    warn: (fields, message) => harmless(() => logger.warn(fields, message), undefined),
    error: (fields, message) => harmless(() => logger.error(fields, message), undefined),
  }
}
