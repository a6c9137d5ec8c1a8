import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { prepareContainers } from '../support/containers.ts'
import { startServers } from '../support/servers.ts'

// A fake: a Docker engine that answers and is cut off from its image registry, which a real one cannot be made to be.
let answerPull = (response: ServerResponse) => answer(response, 500, { message: 'dial tcp: no such host' })
const folder = mkdtempSync(join(tmpdir(), 'sidereal-engine-'))
const socket = join(folder, 'engine.sock')
const engine = createServer((request, response) => {
  const path = request.url ?? ''
  request.resume()
  if (path.endsWith('/info')) answer(response, 200, { OSType: 'linux', OperatingSystem: 'none' })
  else if (path.includes('/images/create')) answerPull(response)
  else answer(response, 404, { message: 'No such image' })
})
await new Promise<void>((resolve) => engine.listen(socket, resolve))
process.env['DOCKER_HOST'] = `unix://${socket}`
process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1'
after(() => {
  engine.closeAllConnections()
  engine.close()
  rmSync(folder, { recursive: true, force: true })
})

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

test('with an engine that cannot get the images, tests run on the local stack, and one line says why', async () => {
  const lines: string[] = []
  const servers = await startServers(['registry'], (line) => lines.push(line))
  try {
    const response = await fetch(`${servers.env['SIDEREAL_REGISTRY_URL']}/subjects`)
    assert.equal(response.status, 200)
  } finally {
    await servers.close()
  }
  const said = lines.filter((line) => line.startsWith('no containers, the local stack instead: '))
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /cp-schema-registry:\S+ cannot be pulled: .*no such host/)
})

test('who asks for containers is told which image is missing, and gets nothing else', async () => {
  const attempt = startServers(['clickhouse'], () => undefined, 'containers')
  await assert.rejects(
    attempt,
    /no containers for the tests: clickhouse\/\S+ cannot be pulled: .*no such host/,
  )
})

test('an image whose pull breaks off on the way counts as missing', async () => {
  answerPull = (response) => answer(response, 200, { status: 'Pulling', error: 'unexpected EOF' })
  const support = await prepareContainers(['kafka'], () => undefined)
  assert.equal(support.state, 'no-images')
  assert.match(support.state === 'no-images' ? support.reason : '', /apache\/kafka:\S+ .*broke off/)
})
