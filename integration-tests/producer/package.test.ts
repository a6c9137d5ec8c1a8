import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
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

// The built package as npm installs it: its own files, and its dependencies beside it.
before(async () => {
  const installed = join(folder, 'node_modules', 'sidereal')
  mkdirSync(installed, { recursive: true })
  await runTool(process.execPath, [
    join(PROJECT_ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
    ...['-p', join(PROJECT_ROOT, 'tsconfig.build.json'), '--outDir', join(installed, 'dist')],
  ])
  for (const name of ['package.json', 'schemas']) {
    cpSync(join(PROJECT_ROOT, name), join(installed, name), { recursive: true })
  }
  symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(installed, 'node_modules'), 'dir')
  // Else the folder would be a part of the project's own package, which `sidereal` then is.
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'service', private: true }))
  for (const [name, text] of Object.entries(SCRIPTS)) writeFileSync(join(folder, name), text)
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
