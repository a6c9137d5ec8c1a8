import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePorts } from '../../src/local/free-ports.ts'
import { FreshPipeline } from '../invariants/pipeline-for-tests.ts'
import { useServers } from '../support/servers.ts'
import { openFullDisk, openStuckPipe } from './log-places.ts'
import { SupervisedWorker } from './supervised-worker.ts'

const servers = await useServers()

for (const [what, open] of [
  ['lies on a full disk', openFullDisk],
  ['is a full pipe that nobody reads', openStuckPipe],
] as const) {
  test(`a worker whose log ${what} works on, and ends when it is told to`, async () => {
    const pipeline = await FreshPipeline.open(servers)
    const logFolder = mkdtempSync(join(tmpdir(), 'sidereal-log-'))
    const [metricsPort = 0] = await freePorts(1)
    const worker = new SupervisedWorker({
      name: 'worker-0',
      env: pipeline.env,
      metricsPort,
      logFolder,
      onEvent: (line) => process.stderr.write(`${line}\n`),
    })
    const place = await open()
    try {
      worker.start(place.fd)
      const load = pipeline.startLoad(600)
      await pipeline.untilStored(2_000)
      await load.stop()
      await pipeline.verifyClean([load.ledger])
      await worker.stop()
    } finally {
      await worker.destroy()
      place.close()
      rmSync(logFolder, { recursive: true, force: true })
    }
  })
}
