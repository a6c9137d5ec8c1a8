import { diag } from '@opentelemetry/api'
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
