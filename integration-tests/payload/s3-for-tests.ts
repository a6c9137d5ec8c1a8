import { randomUUID } from 'node:crypto'
import type { ObjectStoreOptions } from '../../src/storage/object-store.ts'
import type { TestServers } from '../support/servers.ts'

/** How to reach the test servers' S3. */
export function s3Options(servers: TestServers, endpoint = servers.s3Endpoint) {
  const credentials = {
    accessKeyId: servers.env['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: servers.env['AWS_SECRET_ACCESS_KEY'] ?? '',
  }
  return { endpoint, credentials } satisfies ObjectStoreOptions
}

/** A bucket name that nobody used yet. */
export function freshBucket(): string {
  return `b-${randomUUID()}`
}
