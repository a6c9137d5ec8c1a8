import { SiderealError } from '../model/errors.ts'
import { type TlsKeys, tlsFault } from '../model/tls-fault.ts'

/** For messages about TLS to the endpoint. */
export const S3_TLS_KEYS: TlsKeys = {
  ca: 'SIDEREAL_S3_TLS_CA',
  plain: 'write http:// in SIDEREAL_S3_ENDPOINT',
}

/** What a message has to name. */
export interface S3Place {
  bucket: string
  url: string
  endpoint: string | undefined
}

/** True for an error that the store (or the SDK) gave one of these names. HEAD has no body, so its errors are known by status alone. */
export function isS3Error(error: unknown, ...names: string[]): boolean {
  if (!(error instanceof Error)) return false
  if (names.includes(error.name)) return true
  const name = NAME_OF_STATUS[statusOf(error) ?? 0]
  return (
    name !== undefined && names.includes(name) && /^(Unknown|UnknownError|\d+|NotFound)$/.test(error.name)
  )
}

const NAME_OF_STATUS: Readonly<Record<number, string>> = {
  403: 'AccessDenied',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  412: 'PreconditionFailed',
  501: 'NotImplemented',
}

/** Turns what the SDK threw into an error that says what failed, where, whether it may pass by itself, and what to try. */
export function toStoreError(
  error: unknown,
  what: string,
  place: S3Place,
  signal: AbortSignal,
): SiderealError {
  if (error instanceof SiderealError) return error
  const where = whereOf(place)
  const cause = causeOf(error)
  const refused = (hint: string): SiderealError =>
    new SiderealError(
      'SIDEREAL_OBJECT_STORE_REFUSED',
      `Cannot ${what} in ${where}: ${nameOf(error)}. ${hint}`,
      {
        cause,
      },
    )
  if (isS3Error(error, 'NoSuchKey', 'NotFound')) {
    return new SiderealError('SIDEREAL_PAYLOAD_NOT_FOUND', `No such object in ${where}.`, { cause })
  }
  if (isS3Error(error, 'InvalidRange') || statusOf(error) === 416) {
    return new SiderealError(
      'SIDEREAL_PAYLOAD_CORRUPT',
      `An object in ${where} ends before the range that was asked for.`,
      {
        cause,
      },
    )
  }
  if (isS3Error(error, 'NoSuchBucket')) return noSuchBucket(place, error)
  if (isS3Error(error, 'InvalidBucketName')) return refused('Correct the bucket in SIDEREAL_OBJECT_STORE.')
  if (
    isS3Error(error, 'CredentialsProviderError', 'AuthorizationHeaderMalformed') ||
    isMissingRegion(error)
  ) {
    return refused('Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or give the machine a role.')
  }
  if (isS3Error(error, 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'InvalidToken')) {
    return refused('Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.')
  }
  const status = statusOf(error)
  if (isS3Error(error, 'AccessDenied') || status === 401 || status === 403) {
    return refused('Allow s3:GetObject and s3:PutObject on this bucket and prefix for these credentials.')
  }
  // 409: another writer of the same key is at it.
  const passes = status === undefined || status >= 500 || [408, 409, 429].includes(status)
  if (!passes) return refused('Check SIDEREAL_OBJECT_STORE and SIDEREAL_S3_ENDPOINT (http or https?).')
  const fault = tlsFault(error, S3_TLS_KEYS)
  if (fault !== undefined) {
    return new SiderealError(
      'SIDEREAL_OBJECT_STORE_UNAVAILABLE',
      `Cannot ${what} in ${where} over TLS: ${fault}.`,
      { cause, retryable: true },
    )
  }
  const reason = signal.aborted && signal.reason instanceof Error ? signal.reason.message : nameOf(error)
  return new SiderealError(
    'SIDEREAL_OBJECT_STORE_UNAVAILABLE',
    `Cannot ${what} in ${where}: ${reason}. Check that the object store runs and SIDEREAL_S3_ENDPOINT is right (http or https?).`,
    { cause, retryable: true },
  )
}

/**
 * The SDK's error without what the store wrote into it: a refused signature comes with access key id and the text that was signed, and
 * whatever an error carries is logged. Errors without a status are of this side (network, credentials) and keep their words.
 */
function causeOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('unknown error')
  const status = statusOf(error)
  const plain = new Error(status === undefined ? error.message : `the store answered with status ${status}`)
  plain.name = error.name
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  return Object.assign(plain, code, requestIdOf(error))
}

function requestIdOf(error: Error): { requestId?: string } {
  const { requestId } = ('$metadata' in error ? error.$metadata : {}) as { requestId?: unknown }
  return typeof requestId === 'string' ? { requestId } : {}
}

function isMissingRegion(error: unknown): boolean {
  return error instanceof Error && error.message === 'Region is missing'
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  const metadata: unknown = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code ?? (error.name === 'Error' ? error.message : error.name)
}

export function noSuchBucket(place: S3Place, cause: unknown): SiderealError {
  return new SiderealError(
    'SIDEREAL_OBJECT_STORE_REFUSED',
    `There is no bucket ${place.bucket} (${whereOf(place)}). Run "sidereal setup", which creates it, or correct SIDEREAL_OBJECT_STORE.`,
    { cause: causeOf(cause) },
  )
}

function whereOf(place: S3Place): string {
  return place.endpoint === undefined ? place.url : `${place.url} at ${place.endpoint}`
}
