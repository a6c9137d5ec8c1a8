import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { makeTemporaryFolder } from '../../src/local/local-folders.ts'
import { LOCAL_S3_CREDENTIALS, SeaweedFsServer } from '../../src/local/seaweedfs-server.ts'

/** A real S3 of this test file alone, which it may stop and bring back. */
export interface S3ForTests {
  readonly endpoint: string
  readonly credentials: { accessKeyId: string; secretAccessKey: string }
  /** A bucket name that nobody used yet. */
  bucket(): string
  /** Ends the server as kill -9 does. */
  kill(): Promise<void>
  /** Starts it again on the same port, with its data. */
  restart(): Promise<void>
  close(): Promise<void>
}

export async function startS3(): Promise<S3ForTests> {
  const folder = makeTemporaryFolder('s3')
  let server = new SeaweedFsServer({ dataFolder: folder, logFolder: folder })
  await server.start()
  await server.ready()
  return {
    endpoint: server.address,
    credentials: LOCAL_S3_CREDENTIALS,
    bucket: () => `b-${randomUUID()}`,
    async kill() {
      await server.process?.kill()
    },
    async restart() {
      server = new SeaweedFsServer({ dataFolder: folder, logFolder: folder, ports: server.ports })
      await server.start()
      await server.ready()
    },
    async close() {
      await server.close()
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}
