import { globSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import {
  openServers,
  type RunningServers,
  SERVER_KINDS,
  startServers,
} from '../integration-tests/support/servers.ts'
import { PROJECT_ROOT } from '../src/local/local-folders.ts'
import { SERVER_NAMES } from '../src/local/stack.ts'

// npm test [-- [--unit] [--integration] [--name PATTERN] [--servers containers|local] [file …]]: unit tests, then integration
// tests against one set of real servers, found or of that kind. The last line is "N passed, N failed".

const UNIT_TESTS = ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts']
const INTEGRATION_TESTS = ['integration-tests/**/*.test.ts']
const CONCURRENCY = 2
const FILE_TIMEOUT_MS = 15 * 60_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    unit: { type: 'boolean' },
    integration: { type: 'boolean' },
    name: { type: 'string' },
    servers: { type: 'string' },
  },
})
const kind = SERVER_KINDS.find((name) => name === values.servers)
if (values.servers !== undefined && kind === undefined) {
  throw new Error(`--servers is one of ${SERVER_KINDS.join(', ')}, not ${values.servers}`)
}

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)))
}

const all = values.unit !== true && values.integration !== true
const unitFiles = all || values.unit === true ? select(UNIT_TESTS) : []
const integrationFiles = all || values.integration === true ? select(INTEGRATION_TESTS) : []
const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
if (unitFiles.length + integrationFiles.length === 0) {
  process.stdout.write(`no test file matches ${positionals.join(' ')}\n`)
  counts.failed += 1
}
await runFiles(unitFiles, {})
if (integrationFiles.length > 0) await runIntegrationTests()
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`)
process.exitCode = counts.failed > 0 || interrupted.signal.aborted ? 1 : 0

async function runIntegrationTests(): Promise<void> {
  let servers: RunningServers
  try {
    const onProgress = (line: string) => process.stdout.write(`${line}\n`)
    servers =
      kind === undefined
        ? await openServers(SERVER_NAMES, onProgress)
        : await startServers(SERVER_NAMES, onProgress, kind)
  } catch (error) {
    process.stdout.write(
      `the servers could not be started: ${error instanceof Error ? error.message : error}\n`,
    )
    counts.failed += integrationFiles.length
    return
  }
  try {
    await runFiles(integrationFiles, servers.env)
  } finally {
    await servers.close()
  }
}

async function runFiles(files: readonly string[], env: Record<string, string>): Promise<void> {
  if (files.length === 0 || interrupted.signal.aborted) return
  const stream = run({
    cwd: PROJECT_ROOT,
    files: [...files],
    concurrency: CONCURRENCY,
    timeout: FILE_TIMEOUT_MS,
    signal: interrupted.signal,
    env: { ...process.env, ...env },
    ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
  })
  stream.on('test:summary', (summary) => {
    // Every file has a summary of its own too; the one without a file is the sum.
    if (summary.file !== undefined) return
    counts.passed += summary.counts.passed
    counts.failed +=
      summary.counts.tests - summary.counts.passed - summary.counts.skipped - summary.counts.todo
    counts.skipped += summary.counts.skipped + summary.counts.todo
  })
  for await (const text of stream.compose(new spec())) process.stdout.write(text)
}

/** Files of the patterns; only the named ones when files or folders are named. */
function select(patterns: readonly string[]): string[] {
  const found = globSync([...patterns], { cwd: PROJECT_ROOT }).sort()
  if (positionals.length === 0) return found.map((file) => resolve(PROJECT_ROOT, file))
  const wanted = positionals.map((path) => relative(PROJECT_ROOT, resolve(path)))
  return found
    .filter((file) => wanted.some((path) => file === path || file.startsWith(`${path}/`)))
    .map((file) => resolve(PROJECT_ROOT, file))
}
