import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { SiderealError } from '../../model/errors.ts'
import { makeTemporaryFolder } from '../local-folders.ts'
import { OtlpReceiver } from '../otlp-receiver.ts'
import { startStack } from '../stack.ts'
import { runCli } from './cli-process.ts'
import { type DemoServices, startServices, stopServices } from './demo-services.ts'
import { fetchAnswer, QUERIES, query, showcase } from './findings.ts'
import { type SentRequest, sendRequests } from './traffic.ts'
import { startWorker } from './worker-process.ts'

const QUIET_MS = 2_000
const VERIFY_TIMEOUT_SECONDS = 120
const CLEAN = '0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra'

type Environment = Readonly<Record<string, string>>

export interface DemoOptions {
  readonly requests: number
  /** True: everything stays up, with its addresses printed, until `signal`. */
  readonly isKept: boolean
  readonly signal: AbortSignal
  readonly print: (text: string) => void
}

/** Runs the main job once, on real servers. True = what arrived is what was sent. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { signal, print } = options
  await using cleanup = new AsyncDisposableStack()
  const folder = makeTemporaryFolder('demo')
  let isWhole = false
  cleanup.defer(() => {
    // After a failure the logs in it are what a report needs.
    if (isWhole || signal.aborted) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    else print(`logs and ledgers are in ${folder} until the next start`)
  })

  print('\n— Starting the servers')
  const stack = cleanup.use(await startStack({ dataFolder: join(folder, 'stack'), onProgress: print }))
  signal.throwIfAborted()
  const receiver = new OtlpReceiver()
  await receiver.start()
  cleanup.defer(() => receiver.close())
  print(`OTLP receiver: ready at ${receiver.url}`)
  const env: Environment = {
    ...stack.env,
    SIDEREAL_QUIET_MS: String(QUIET_MS),
    SIDEREAL_SINKS: 'clickhouse,otlp:best-effort',
    SIDEREAL_OTLP_ENDPOINT: receiver.url,
    SIDEREAL_METRICS_PORT: '0',
  }
  const setup = await runCli(['setup'], env, signal)
  print(setup.output.toString().trimEnd())
  if (setup.code !== 0) throw new SiderealError('SIDEREAL_LOCAL_STACK', 'setup failed; its lines are above.')
  const worker = await startWorker(env, join(folder, 'worker.log'), signal)
  cleanup.defer(() => worker.close())
  print(`worker: ready at ${worker.url}`)

  print('\n— Three services: entry → workflow → tools')
  const services = await startServices(env, folder)
  cleanup.defer(() => services.close())
  const requests = await sendAll(services, options)
  const ledgers = await stopServices(services, folder, requests, print)

  print('\n— Verifying against what each service wrote down for itself')
  const verdict = await runCli(
    ['verify', '--timeout', String(VERIFY_TIMEOUT_SECONDS), '--ledger', ...ledgers],
    env,
    signal,
  )
  const lines = verdict.output.toString().trimEnd()
  const lastLine = lines.slice(lines.lastIndexOf('\n') + 1)
  const isClean = verdict.code === 0 && lastLine === CLEAN
  print(lines)

  const isPayloadWhole = await showFindings(env, requests, options)
  showExports(receiver, print)
  print(`\n${lastLine}`)
  isWhole = isClean && isPayloadWhole
  if (options.isKept) await keep(env, worker.url, options)
  return isWhole
}

async function sendAll(services: DemoServices, options: DemoOptions): Promise<SentRequest[]> {
  const { print, requests: count, signal } = options
  const startedAt = performance.now()
  const requests = await sendRequests({
    entryUrl: services.entry.url,
    count,
    signal,
    onProgress: (done) => {
      if (done % 50 === 0) print(`${done} of ${count} requests answered`)
    },
  })
  const failed = requests.filter(({ isAnswered }) => !isAnswered).length
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  print(`${requests.length} requests in ${seconds} s; the models of ${failed} failed on purpose`)
  return requests
}

async function showFindings(
  env: Environment,
  requests: readonly SentRequest[],
  { print, signal }: DemoOptions,
): Promise<boolean> {
  const [traceList = ''] = QUERIES
  print(`\n— The trace list, by SQL\n${traceList}`)
  print(await query(env, traceList, 'PrettyCompactMonoBlock'))

  const chosen = showcase(requests)
  print(`\n— One trace: sidereal trace ${chosen.sid}`)
  const tree = await runCli(['trace', chosen.sid], env, signal)
  print(tree.output.toString().trimEnd())

  print('\n— One payload, back from S3')
  const payload = await fetchAnswer(env, chosen, signal)
  print(`sidereal payload get '${payload.reference}'`)
  print(
    `${payload.bytes} bytes, sha256 ${payload.sha256}: ${payload.isAsSent ? 'equal to' : 'DIFFERENT from'} what the model answered`,
  )
  return payload.isAsSent && tree.code === 0
}

function showExports(receiver: OtlpReceiver, print: DemoOptions['print']): void {
  const traces = new Set(receiver.spans.map((span) => span.traceId))
  const byService = Map.groupBy(receiver.spans, (span) => span.serviceName)
  print('\n— Re-exported over OTLP')
  print(`${receiver.spans.length} spans of ${traces.size} traces in ${receiver.requestCount} requests`)
  for (const [service, spans] of byService) print(`  ${service}: ${spans.length} spans`)
}

/** Holds everything until the user ends it. */
async function keep(env: Environment, workerUrl: string, { print, signal }: DemoOptions): Promise<void> {
  print('\n— Everything stays up until Ctrl-C')
  for (const [name, value] of Object.entries(env)) print(`export ${name}='${value}'`)
  print(`worker: ${workerUrl}/metrics`)
  print(
    `\nTry, for example with curl "$SIDEREAL_CLICKHOUSE_URL/?database=sidereal" --data-binary @query.sql:`,
  )
  for (const sql of QUERIES) print(`\n${sql};`)
  if (!signal.aborted) {
    const { promise, resolve } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
  }
}
