import { SiderealError } from '../model/errors.ts'

/** Longest key, in bytes: S3 takes 1,024 with the prefix, file systems 255 a part. */
const MAX_KEY_BYTES = 900

/** Throws unless the key names an object below the prefix and nothing else. */
export function checkKey(key: string): void {
  const parts = key.split('/')
  const isBad = parts.some((part) => part === '' || part === '.' || part === '..')
  if (isBad || /[\0\\]/.test(key) || Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new SiderealError(
      'SIDEREAL_OBJECT_STORE_REFUSED',
      'Not an object key: copy the payload reference whole.',
    )
  }
}
