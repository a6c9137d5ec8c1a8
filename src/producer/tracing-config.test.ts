import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

/** Warns when its input ends, and says after that that it lives. */
const SCRIPT = `
  import { defaultLogger } from ${JSON.stringify(new URL('tracing-config.ts', import.meta.url).href)}
  process.stdin.resume().on('end', () => {
    defaultLogger().warn({ reason: 'test' }, 'a warning')
    setTimeout(() => console.log('alive'), 100)
  })
  console.log('ready')
`

function run() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT])
  const text = (stream: typeof child.stdout) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    return () => Buffer.concat(chunks).toString()
  }
  return { child, out: text(child.stdout), errors: text(child.stderr), closed: once(child, 'close') }
}

test('a warning is a line of JSON on standard error, and no service ends for one that nobody reads', async () => {
  const read = run()
  read.child.stdin.end()
  await read.closed
  const { level, name, reason, msg } = JSON.parse(read.errors()) as Record<string, unknown>
  assert.deepEqual([level, name, reason, msg], ['warn', 'sidereal', 'test', 'a warning'])

  const unread = run()
  await once(unread.child.stdout, 'data')
  unread.child.stderr.destroy()
  unread.child.stdin.end()
  await unread.closed
  assert.equal(unread.out(), 'ready\nalive\n')
})
