import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { isSiderealError } from '../model/errors.ts'
import { RegistryHttp } from './registry-http.ts'

/** Longer than anybody waits for this test: a process that is held by the request is killed before. */
const REQUEST_MS = 600_000
const HELD_MS = 60_000

test('a registry that does not answer holds no process that does not want to be held', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => {
    silent.close()
    silent.closeAllConnections()
  })
  const asked = once(silent, 'request')
  const script = `
    import { RegistryHttp } from ${JSON.stringify(new URL('registry-http.ts', import.meta.url).href)}
    const http = new RegistryHttp({ url: 'http://127.0.0.1:${(silent.address() as AddressInfo).port}', keepsAlive: false })
    void http.request('GET', '/config', { timeoutMs: ${REQUEST_MS} })
    process.stdin.resume().on('end', () => console.log('end'))
  `
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    timeout: HELD_MS,
  })
  await Promise.race([asked, run])
  run.child.stdin?.end()
  assert.equal((await run).stdout.trim(), 'end')
})

test('an address that is no URL of http or https is an error that names its variable, and not its password', () => {
  for (const url of ['registry:8081', 'no url', 'http://user:%zz@registry:8081', 'ftp://registry']) {
    assert.throws(
      () => new RegistryHttp({ url }),
      (error) =>
        isSiderealError(error, 'SIDEREAL_CONFIG_INVALID') &&
        error.message.includes('SIDEREAL_REGISTRY_URL') &&
        !error.message.includes('%zz'),
      url,
    )
  }
})
