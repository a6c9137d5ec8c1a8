import { status } from '@grpc/grpc-js'
import { SiderealError } from '../../model/errors.ts'

/** What a failed call means for the spans in it. */
export type ExportFailure =
  /** The receiver will never take these bytes: some span of them is at fault. */
  | { readonly kind: 'content'; readonly reason: string }
  | { readonly kind: 'state'; readonly error: SiderealError }

/** Of these the OTLP specification says that the client may try again. */
const RETRYABLE = new Set<number>([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
])

/** What to try, by status. */
const HINTS: Readonly<Record<number, string>> = {
  [status.UNAUTHENTICATED]: 'Check the headers of this destination.',
  [status.PERMISSION_DENIED]: 'Check the headers of this destination.',
  [status.UNIMPLEMENTED]:
    'Nothing takes OTLP traces over gRPC there: check the port (4317 by default, 4318 is HTTP).',
  [status.UNAVAILABLE]: 'Check that the receiver runs, and http against https.',
}

const TOO_LARGE = /larger than max|message size|too large/i

/** What gRPC and the system on this side say about a connection. */
const CONNECTION_WORDS = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'EPROTO',
  'Name resolution failed',
  'Connection dropped',
  'Protocol error',
  'socket hang up',
  'wrong version number',
  'self-signed certificate',
  'unable to verify the first certificate',
  'unable to get local issuer certificate',
  'certificate has expired',
  "does not match certificate's altnames",
] as const

/**
 * Reads an error of a gRPC call. A receiver says "out of resources" for a message over its limit and for a queue that is full. What it says may
 * quote values of spans, so its text goes nowhere, nor does the error as a cause: the code is told, and words that are known beforehand.
 */
export function readFailure(error: unknown, url: string): ExportFailure {
  const code = codeOf(error)
  const details = detailsOf(error)
  const isTooLarge = code === status.RESOURCE_EXHAUSTED && TOO_LARGE.test(details)
  if (isTooLarge)
    return { kind: 'content', reason: `${nameOf(code)}: larger than the maximum of the receiver` }
  if (code === status.INVALID_ARGUMENT) return { kind: 'content', reason: nameOf(code) }
  const hint = (code === undefined ? undefined : HINTS[code]) ?? 'See the log of the receiver.'
  const message = `OTLP export to ${url} failed: ${whyOf(error, code, details)}. ${hint}`
  // An error without a status never left this process, or the connection broke: that passes too.
  const retryable = code === undefined || RETRYABLE.has(code)
  return {
    kind: 'state',
    error: new SiderealError('SIDEREAL_OTLP_FAILED', message, { retryable }),
  }
}

function codeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

function whyOf(error: unknown, code: number | undefined, details: string): string {
  const known = CONNECTION_WORDS.find((words) => details.includes(words))
  if (known !== undefined) return `${nameOf(code)}: ${known}`
  return code === undefined && error instanceof Error ? `${nameOf(code)}: ${error.name}` : nameOf(code)
}

function detailsOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  return 'details' in error && typeof error.details === 'string' && error.details !== ''
    ? error.details
    : error.message
}

function nameOf(code: number | undefined): string {
  return code === undefined ? 'no answer' : (status[code] ?? String(code))
}
