import { type DestinationStream, pino } from 'pino'
import type { Clock } from '../model/clock.ts'
import { LogDestination } from './log-destination.ts'

export type LogFields = Readonly<Record<string, unknown>>

/** What every part of Sidereal logs to: one line an event, fields not prose, no payloads and no secrets. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LoggerOptions {
  /** Default `info`. */
  level?: LogLevel
  /** Fields that each line carries, such as the role and the instance id. */
  base?: LogFields
  /** Where lines go; default standard output. */
  destination?: DestinationStream
}

const STANDARD_OUTPUT = 1

/** A slip of the pen must not print a secret: these keys are censored at the first two levels of the fields. */
const SECRET_KEYS = [
  'password',
  'secret',
  'token',
  'authorization',
  'credentials',
  'sasl',
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'value',
  'payload',
  'bytes',
  'body',
]

/** Creates the process's logger: JSON lines by pino. An `error` field is written with type, message, stack, code and cause. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: options.base ?? {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.errWithCause },
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
  }
  return pino(settings, options.destination ?? new LogDestination(STANDARD_OUTPUT))
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/**
 * Warnings that may come thousands of times a second: the first of a key is written at once, later ones at most once in
 * `intervalMs`, with the number of those that were held back (`repeated`).
 */
export class RepeatedWarnings {
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #seen = new Map<string, { atMs: number; heldBack: number }>()

  constructor(logger: Logger, clock: Clock, intervalMs = 60_000) {
    this.#logger = logger
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  /** `key` names the kind of the event; keep it of low cardinality. */
  warn(key: string, fields: LogFields, message: string): void {
    const nowMs = this.#clock.monotonicMs()
    const seen = this.#seen.get(key)
    if (seen !== undefined && nowMs - seen.atMs < this.#intervalMs) {
      seen.heldBack += 1
      return
    }
    this.#seen.set(key, { atMs: nowMs, heldBack: 0 })
    const repeated = seen?.heldBack ?? 0
    this.#logger.warn(repeated > 0 ? { ...fields, repeated } : fields, message)
  }
}
