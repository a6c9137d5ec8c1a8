import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { promisify } from 'node:util'
import { cached } from '../../src/local/downloads.ts'
import { makeTemporaryFolder, PROJECT_ROOT } from '../../src/local/local-folders.ts'
import { runTool } from '../../src/local/tools.ts'
import { freshName, freshTopic } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { readNames } from './topic-names.ts'

/** The oldest Node of `engines` in `package.json`. */
const OLDEST = '22.15.1'
const PLATFORM = `${process.platform}-${process.arch}`
/** The platforms that the npm package `node` has a program for under this name. */
const skip = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64'].includes(PLATFORM)
  ? false
  : `the npm package node has no node-${PLATFORM}`

const servers = await useServers('kafka', 'registry')
const folder = makeTemporaryFolder('package')
servers.beforeClose(async () => rmSync(folder, { recursive: true, force: true }))

/** A service: makes a span and a log of these names, sends them, and says on which Node. */
const BODY = `
const tracing = initTracing()
const [name] = process.argv.slice(2)
tracing.tracer.startSpan(name).end()
const log = new NodeTraceLog({ sub: 'workflow', question: name })
log.setEnd()
tracing.publishNodeTraceLog(log)
tracing.flush(60_000).then(async (isFlushed) => {
  await tracing.shutdown(60_000)
  process.stdout.write(JSON.stringify({ isFlushed, node: process.version }) + '\\n')
})
`
const SCRIPTS = {
  'service.cjs': `const { initTracing, NodeTraceLog } = require('sidereal/producer')${BODY}`,
  'service.mjs': `import { initTracing, NodeTraceLog } from 'sidereal/producer'${BODY}`,
}

// As a user gets it: packed, with the files that package.json names, and installed with the dependencies that it names.
before(async () => {
  const packed = join(folder, 'packed')
  mkdirSync(packed)
  await runTool(process.execPath, [
    join(PROJECT_ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
    ...['-p', join(PROJECT_ROOT, 'tsconfig.build.json'), '--outDir', join(packed, 'dist')],
  ])
  for (const name of ['package.json', 'schemas']) {
    cpSync(join(PROJECT_ROOT, name), join(packed, name), { recursive: true })
  }
  await runTool('npm', ['pack', packed, '--ignore-scripts', '--pack-destination', folder])
  const [tarball] = globSync(join(folder, 'sidereal-*.tgz'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'service', private: true }))
  const quietly = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts']
  await runTool('npm', ['install', '--prefix', folder, ...quietly, tarball ?? 'no tarball was made'])
  for (const [name, text] of Object.entries(SCRIPTS)) writeFileSync(join(folder, name), text)
})

test('the installed package has its commands, and each can be loaded', async () => {
  const main = join(folder, 'node_modules', '.bin', 'sidereal')
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--help'])
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+)( \[.*?\])? {2,}\S/gm)].map(([, name]) => name!)
  assert.ok(commands.includes('worker') && commands.includes('verify'), stdout)
  for (const command of commands) {
    if (command.startsWith('-')) continue
    await promisify(execFile)(process.execPath, [main, command, '--help'])
  }
})

for (const [script, way] of [
  ['service.cjs', 'CommonJS by require'],
  ['service.mjs', 'an ES module by import'],
] as const) {
  test(`a service in ${way} traces with the built package on the Node of this project`, async () => {
    await assertTraces(process.execPath, script, process.version)
  })

  test(`… and on Node ${OLDEST}`, { skip }, async () => {
    await assertTraces(await oldestNode(), script, `v${OLDEST}`)
  })
}

async function assertTraces(node: string, script: string, version: string): Promise<void> {
  const topic = await freshTopic(servers, { partitions: 1 })
  const name = freshName('work')
  const { stdout, stderr } = await promisify(execFile)(node, [join(folder, script), name], {
    cwd: folder,
    env: { ...process.env, ...servers.env, NODE_OPTIONS: '', SIDEREAL_TOPIC: topic },
    timeout: 180_000,
  })
  assert.deepEqual(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), { isFlushed: true, node: version })
  assert.doesNotMatch(stderr, /Warning/)
  const { spans, logs } = await readNames(servers, topic)
  assert.deepEqual([[...spans], [...logs]], [[name], [name]])
}

/** The program of the npm package `node` for this platform, which needs no install script; downloaded the first time. */
async function oldestNode(): Promise<string> {
  const name = `node-${PLATFORM}`
  const home = await cached(`node-${OLDEST}`, async (target) => {
    const options = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
    await runTool('npm', ['install', '--prefix', target, ...options, `${name}@${OLDEST}`])
  })
  return join(home, 'node_modules', name, 'bin', 'node')
}
