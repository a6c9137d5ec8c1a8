import {
  CreateBucketCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { readPemFile } from '../codec/pem-file.ts'
import { SiderealError } from '../model/errors.ts'
import type { ByteRange, ObjectStore, ObjectStoreOptions, PutOptions } from './object-store.ts'
import { checkKey } from './object-store-key.ts'
import { isS3Error, noSuchBucket, S3_TLS_KEYS, type S3Place, toStoreError } from './object-store-s3-errors.ts'

const CONNECT_TIMEOUT_MS = 3_000
const REQUEST_TIMEOUT_MS = 30_000
const MAX_ATTEMPTS = 3
const PROBE_KEY = '.sidereal-probe'
const PROBE_BODY = Buffer.from('sidereal\n')

/** Objects in a bucket of S3 or of anything that speaks its API. */
export class S3Store implements ObjectStore {
  readonly url: string
  readonly #client: S3Client
  readonly #place: S3Place
  readonly #prefix: string
  readonly #timeoutMs: number
  #takesConditions = true

  constructor(bucket: string, prefix: string, options: ObjectStoreOptions) {
    this.url = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.#place = { bucket, url: this.url, endpoint: options.endpoint }
    this.#timeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
    const { endpoint, credentials } = options
    const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1')
    this.#client = new S3Client({
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined
        ? {}
        : {
            credentials: {
              accessKeyId: credentials.accessKeyId,
              secretAccessKey: credentials.secretAccessKey,
              ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
            },
          }),
      forcePathStyle: options.pathStyle ?? endpoint !== undefined,
      maxAttempts: options.maxAttempts ?? MAX_ATTEMPTS,
      retryMode: 'standard',
      requestHandler: {
        connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, this.#timeoutMs),
        requestTimeout: this.#timeoutMs,
        throwOnRequestTimeout: true,
        ...(options.caPath === undefined
          ? {}
          : {
              httpsAgent: {
                keepAlive: true,
                maxSockets: 50,
                ca: readPemFile(options.caPath, S3_TLS_KEYS.ca),
              },
            }),
      },
      // Every payload carries its own sha256, and not every store of this API knows the newer checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    })
  }

  async ensureBucket(signal?: AbortSignal): Promise<void> {
    await this.#run('create the bucket', signal, async (abortSignal) => {
      try {
        await this.#client.send(new CreateBucketCommand({ Bucket: this.#place.bucket }), { abortSignal })
      } catch (error) {
        if (isS3Error(error, 'BucketAlreadyOwnedByYou', 'BucketAlreadyExists')) return
        // Who may not create buckets may still use one that is there: the probe says which.
        if (isS3Error(error, 'AccessDenied')) return await this.probe(abortSignal)
        throw error
      }
    })
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.#run('look at the bucket', signal, (abortSignal) => this.#requireBucket(abortSignal))
    await this.put(PROBE_KEY, PROBE_BODY, { signal })
    await this.getRange(PROBE_KEY, 0, PROBE_BODY.length, signal)
  }

  async put(key: string, body: Buffer, options: PutOptions = {}): Promise<void> {
    checkKey(key)
    await this.#run('write', options.signal, async (abortSignal) => {
      try {
        await this.#put(key, body, options.sha256, abortSignal)
      } catch (error) {
        if (isS3Error(error, 'PreconditionFailed')) return
        if (!isS3Error(error, 'NotImplemented') || !this.#takesConditions) throw error
        // Stores without conditional writes: keys hold the hash of their content, so what is written again is equal.
        this.#takesConditions = false
        await this.#put(key, body, options.sha256, abortSignal)
      }
    })
  }

  async getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Buffer> {
    checkKey(key)
    if (length === 0) return Buffer.alloc(0)
    return await this.#run('read', signal, async (abortSignal) => {
      const response = await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#place.bucket,
          Key: this.#prefix + key,
          Range: rangeHeader(offset, length),
        }),
        { abortSignal },
      )
      const bytes = Buffer.from((await response.Body?.transformToByteArray()) ?? [])
      if (bytes.length === length) return bytes
      throw new SiderealError(
        'SIDEREAL_PAYLOAD_CORRUPT',
        `${key} in ${this.url} ends before the range that was asked for.`,
      )
    })
  }

  async size(key: string, signal?: AbortSignal): Promise<number> {
    checkKey(key)
    return await this.#run('read', signal, async (abortSignal) => {
      const head = await this.#client.send(
        new HeadObjectCommand({ Bucket: this.#place.bucket, Key: this.#prefix + key }),
        { abortSignal },
      )
      return head.ContentLength ?? 0
    })
  }

  async presign(
    key: string,
    expiresInSeconds: number,
    range: ByteRange | undefined,
  ): Promise<string | undefined> {
    checkKey(key)
    const command = new GetObjectCommand({
      Bucket: this.#place.bucket,
      Key: this.#prefix + key,
      // A header that is signed: a request without it, or with another range, is refused.
      ...(range === undefined ? {} : { Range: rangeHeader(range.offset, range.length) }),
    })
    return await this.#run('sign a URL', undefined, () =>
      getSignedUrl(this.#client, command, { expiresIn: expiresInSeconds }),
    )
  }

  async lifecycleDays(keyPrefix = 'payloads/'): Promise<number | undefined> {
    return await this.#run('read the lifecycle', undefined, async (abortSignal) => {
      try {
        const { Rules = [] } = await this.#client.send(
          new GetBucketLifecycleConfigurationCommand({ Bucket: this.#place.bucket }),
          { abortSignal },
        )
        const full = this.#prefix + keyPrefix
        const days = Rules.filter((rule) => rule.Status === 'Enabled')
          .filter((rule) =>
            full.startsWith(rule.Filter?.Prefix ?? rule.Filter?.And?.Prefix ?? rule.Prefix ?? ''),
          )
          .flatMap((rule) => rule.Expiration?.Days ?? [])
        return Math.min(Number.POSITIVE_INFINITY, ...days)
      } catch (error) {
        if (isS3Error(error, 'NoSuchLifecycleConfiguration')) return Number.POSITIVE_INFINITY
        if (isS3Error(error, 'AccessDenied', 'NotImplemented', 'MethodNotAllowed')) return undefined
        throw error
      }
    })
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  /** Asked for, since some stores make a missing bucket at the first write: a misspelt one would go unseen. */
  async #requireBucket(abortSignal: AbortSignal): Promise<void> {
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#place.bucket }), { abortSignal })
    } catch (error) {
      if (isS3Error(error, 'NotFound', 'NoSuchBucket')) throw noSuchBucket(this.#place, error)
      // Looking at a bucket is a right of its own, which reading and writing do not need.
      if (!isS3Error(error, 'AccessDenied', 'Forbidden')) throw error
    }
  }

  async #put(key: string, body: Buffer, sha256: string | undefined, abortSignal: AbortSignal): Promise<void> {
    const command = new PutObjectCommand({
      Bucket: this.#place.bucket,
      Key: this.#prefix + key,
      Body: body,
      ContentType: 'application/octet-stream',
      ...(this.#takesConditions ? { IfNoneMatch: '*' } : {}),
    })
    if (sha256 !== undefined) {
      // The signature needs the body's hash, and the signer takes it from this header instead of hashing on the event loop.
      command.middlewareStack.add(
        (next) => async (args) => {
          const request: unknown = args.request
          if (hasHeaders(request)) request.headers['x-amz-content-sha256'] = sha256
          return await next(args)
        },
        { step: 'build', name: 'knownBodyHash' },
      )
    }
    await this.#client.send(command, { abortSignal })
  }

  /** One call with its deadline, which holds also where the SDK does not look at the signal (looking for credentials). */
  async #run<T>(
    what: string,
    signal: AbortSignal | undefined,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController()
    const stop = (reason: unknown): void => controller.abort(reason)
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
    })
    const onAbort = (): void => stop(signal?.reason)
    const timer = setTimeout(() => stop(new Error(`no answer within ${this.#timeoutMs} ms`)), this.#timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    try {
      return await Promise.race([action(controller.signal), aborted])
    } catch (error) {
      throw toStoreError(error, what, this.#place, controller.signal)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

function rangeHeader(offset: number, length: number): string {
  return `bytes=${offset}-${offset + length - 1}`
}

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request
}
