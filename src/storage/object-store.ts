import { fileURLToPath } from 'node:url'
import { SiderealError } from '../model/errors.ts'
import { DirectoryStore } from './object-store-directory.ts'
import { checkKey } from './object-store-key.ts'
import { S3Store } from './object-store-s3.ts'

/** Access to one bucket: what `openObjectStore` needs beside the URL. The standard `AWS_*` variables are read where a field is absent. */
export interface ObjectStoreOptions {
  /** S3 endpoint other than AWS's own, as `http://host:port`. Path-style addresses are used with it unless `pathStyle` is false. */
  endpoint?: string | undefined
  /** Default: `AWS_REGION`, or `us-east-1` with an own endpoint, where regions mean nothing. */
  region?: string | undefined
  /** Default: the standard chain (environment, profile, web identity, instance role). */
  credentials?:
    | { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined }
    | undefined
  pathStyle?: boolean | undefined
  /** PEM file of the authority that signed the endpoint's certificate. Default: those that come with Node.js. */
  caPath?: string | undefined
  /** Longest time one call may take, its retries included. Default 30 s. */
  requestTimeoutMs?: number | undefined
  /** Attempts within one call, the first included. Default 3. */
  maxAttempts?: number | undefined
}

export interface PutOptions {
  /** sha256 of the body in hex, when the caller has it: saves the store from hashing the body again. */
  sha256?: string | undefined
  signal?: AbortSignal | undefined
}

/** `length` bytes from `offset`; at least one. */
export interface ByteRange {
  offset: number
  length: number
}

/**
 * A place for objects that are written once. Both implementations run one contract suite (`object-store-contract.testing.ts`).
 *
 * - Keys are relative to the URL's prefix: parts joined by `/`, 1 to 900 bytes of UTF-8, no part empty, `.` or `..`.
 * - Every method rejects with a `SiderealError`: `SIDEREAL_OBJECT_STORE_UNAVAILABLE` (retryable: no answer, overload, disk full),
 *   `SIDEREAL_OBJECT_STORE_REFUSED` (not retryable: wrong key, no bucket, no right; the message says what to try),
 *   `SIDEREAL_PAYLOAD_NOT_FOUND` (no such object) or `SIDEREAL_PAYLOAD_CORRUPT` (the object is shorter than the range).
 * - A call never takes longer than `requestTimeoutMs`. Retry beyond that is the caller's.
 */
export interface ObjectStore {
  /** Where it is, for messages: no secrets. */
  readonly url: string
  /** Creates the bucket or directory if it is not there. */
  ensureBucket(signal?: AbortSignal): Promise<void>
  /** Checks that objects can be written and read, by one small object under `.sidereal-probe`. */
  probe(signal?: AbortSignal): Promise<void>
  /**
   * Stores an object; resolves when it is durable. Never overwrites: a key that is there stays as it is, and the call succeeds,
   * since keys hold the hash of their content. A reader never sees half an object.
   */
  put(key: string, body: Buffer, options?: PutOptions): Promise<void>
  /** Exactly `length` bytes from `offset`. */
  getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Buffer>
  /** Bytes of the object. */
  size(key: string, signal?: AbortSignal): Promise<number>
  /**
   * A URL by which anybody reads that range of the object for that time, by a request with exactly this `Range` header, and nothing else of
   * it: a pack holds the payloads of many tenants. Without a range it gives the whole object. `undefined`: the store has none.
   */
  presign(key: string, expiresInSeconds: number, range?: ByteRange): Promise<string | undefined>
  /** After how many days the store deletes objects whose keys begin so. Infinity = never; `undefined` = it cannot tell. */
  lifecycleDays(keyPrefix?: string): Promise<number | undefined>
  close(): Promise<void>
}

/** Opens `s3://bucket/prefix` or `file:///directory`. Connects to nothing yet: `probe` does. */
export function openObjectStore(url: string, options: ObjectStoreOptions = {}): ObjectStore {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 's3:' && parsed.hostname !== '' && parsed.search === '' && parsed.hash === '') {
    const prefix = decodeURIComponent(parsed.pathname).replace(/^\/+|\/+$/g, '')
    if (prefix !== '') checkKey(prefix)
    return new S3Store(parsed.hostname, prefix, options)
  }
  if (parsed?.protocol === 'file:' && parsed.hostname === '' && parsed.pathname.length > 1) {
    return new DirectoryStore(fileURLToPath(parsed))
  }
  throw new SiderealError(
    'SIDEREAL_CONFIG_INVALID',
    `Not an object store: ${parsed === undefined ? 'no URL' : `${parsed.protocol}//${parsed.host}${parsed.pathname}`}. Use s3://bucket/prefix or file:///directory.`,
  )
}
