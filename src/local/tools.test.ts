import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { choosePorts } from './free-ports.ts'
import { runTool } from './tools.ts'

test('a missing program is one line that says what to install', async () => {
  await assert.rejects(
    runTool('no-such-program', []),
    /^SiderealError: "no-such-program" was not found: install .*docker compose up/,
  )
})

test('a program that fails is reported with what it printed', async () => {
  await assert.rejects(runTool('sh', ['-c', 'echo out of luck; exit 4']), /ended with code 4:\nout of luck/)
})

test('chosen ports differ, and a given port that is taken is named', async () => {
  const ports = await choosePorts(5)
  assert.equal(new Set(ports).size, 5)
  const [port] = ports
  assert.ok(port)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  try {
    await assert.rejects(choosePorts(2, [port]), new RegExp(`port ${port} of 127.0.0.1 is taken`))
  } finally {
    server.close()
  }
})
