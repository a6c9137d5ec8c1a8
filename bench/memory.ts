import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { TcpProxy } from '../integration-tests/support/tcp-proxy.ts'
import { runCli, spawnCli } from '../src/local/demo/cli-process.ts'
import { startStack } from '../src/local/stack.ts'
import { type CaseContext, MEMORY_CASES } from './memory-cases.ts'
import { type MemoryFigures, MemoryTrial } from './memory-trial.ts'

// npm run memory -- --case NAME [--case NAME …] [--limit 400] [--scale 1] [--no-verify] [--trace]: each case against a local stack of its own.

const MIB = 1024 * 1024
const SETTLE_MS = 30 * 60_000
const START_MS = 120_000

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: Object.keys(MEMORY_CASES) },
    limit: { type: 'string', default: '400' },
    scale: { type: 'string', default: '1' },
    /** Memory only; nothing is said of loss. `verify` takes milliseconds a trace. */
    'no-verify': { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
})
const say = (line: string) => process.stderr.write(`${line}\n`)
const limitMib = Number(values.limit)
for (const name of values.case) {
  if (!(name in MEMORY_CASES)) {
    throw new Error(`no case ${name}: one of ${Object.keys(MEMORY_CASES).join(', ')}`)
  }
}
let isOver = false
await using stack = await startStack({ onProgress: say })
for (const name of values.case) isOver = (await runCase(name)) || isOver
process.exitCode = isOver ? 1 : 0

/** True when it was over its limit, or something was lost. */
async function runCase(name: string): Promise<boolean> {
  const trialCase = MEMORY_CASES[name]!
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-memory-'))
  const run = `${name}-${Date.now().toString(36)}`
  const proxy = new TcpProxy(stack.env['SIDEREAL_CLICKHOUSE_URL'] ?? '')
  try {
    say(`${name}: ${trialCase.about}`)
    const env = {
      ...stack.env,
      SIDEREAL_TOPIC: run,
      SIDEREAL_DEAD_LETTER_TOPIC: `${run}-dead-letters`,
      SIDEREAL_GROUP: run,
      SIDEREAL_CLICKHOUSE_DATABASE: run.replaceAll('-', '_'),
      SIDEREAL_TOPIC_PARTITIONS: '6',
    }
    const [setupCode] = await once(spawnCli(['setup'], env, process.stderr.fd), 'exit')
    if (setupCode !== 0) throw new Error(`sidereal setup ended with code ${setupCode}`)
    let files = 0
    let trial: MemoryTrial | undefined
    const context: CaseContext = {
      env,
      topic: run,
      scale: Number(values.scale),
      newFile: (file) => join(folder, `${++files}-${file}`),
      say,
      clickHouse: proxy,
      untilDelivering: async () => {
        const isDelivering = (): boolean => (trial?.metric('sidereal_rows_settled_total') ?? 0) > 0
        await trial?.until('the worker delivers', isDelivering, START_MS)
      },
    }
    const workerEnv = {
      ...env,
      SIDEREAL_CLICKHOUSE_URL: await proxy.start(),
      SIDEREAL_MAX_MEMORY: String(limitMib * MIB),
    }
    const ledgers = (await trialCase.before?.(context)) ?? []
    trial = new MemoryTrial(name, { ...workerEnv, ...trialCase.env })
    ledgers.push(...((await trialCase.during?.(context)) ?? []))
    await settle(trial, trialCase.staysOpen === true)
    const figures = await trial.end()
    if (trialCase.staysOpen === true) {
      const last = new MemoryTrial(`${name}-end`, {
        ...workerEnv,
        SIDEREAL_QUIET_MS: '100',
        SIDEREAL_IDLE_MS: '100',
      })
      await settle(last, false)
      await last.end()
    }
    const verdict = values['no-verify']
      ? { isClean: true, line: 'not done (--no-verify): nothing is known of loss' }
      : await verify(env, ledgers)
    if (values.trace) for (const sample of trial.samples) say(JSON.stringify(sample))
    print(name, figures, verdict)
    return figures.peakRss > limitMib * MIB || !verdict.isClean
  } finally {
    await proxy.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function settle(trial: MemoryTrial, isOpenAllowed: boolean): Promise<void> {
  let calm = 0
  const isDone = (): boolean => {
    const isRead =
      trial.metric('sidereal_lag_seconds_max') === 0 && trial.metric('sidereal_records_consumed_total') > 0
    const isDelivered = trial.metric('sidereal_undelivered_bytes') === 0
    calm = isRead && (isOpenAllowed ? isDelivered : trial.isSettled) ? calm + 1 : 0
    return calm > 8
  }
  await trial.until('everything is settled', isDone, SETTLE_MS)
}

async function verify(env: Readonly<Record<string, string>>, ledgers: readonly string[]) {
  let isClean = true
  const lines: string[] = []
  for (const ledger of ledgers) {
    const args = ['verify', '--timeout', '600', '--no-details', '--ledger', ledger]
    const { code, output } = await runCli(args, env, new AbortController().signal)
    const said = output.toString().split('\n')
    isClean &&= code === 0
    lines.push(said.find((one) => one.includes(' lost · ')) ?? said.join(' '))
  }
  return { isClean, line: lines.join(' | ') }
}

function print(name: string, figures: MemoryFigures, verdict: { isClean: boolean; line: string }): void {
  const mib = (bytes: number | undefined): string => `${((bytes ?? Number.NaN) / MIB).toFixed(0)} MiB`
  const { atPeak } = figures
  const lines = [
    `${name}: peak ${mib(figures.peakRss)} resident of ${limitMib} MiB · held at most ${mib(figures.peakHeld)} · paused ${figures.pausedSeconds.toFixed(1)} s · lag up to ${figures.lagSecondsPeak.toFixed(0)} s · joins ${figures.rebalances} · CPU ${figures.cpuSeconds.toFixed(1)} s`,
    `  at the peak: heap ${mib(atPeak?.heapUsed)} of ${mib(atPeak?.heapTotal)}, buffers ${mib(atPeak?.external)}, open ${mib(atPeak?.open)}, slabs ${mib(atPeak?.slabs)}, undelivered ${mib(atPeak?.undelivered)}`,
    `  fragments: ${JSON.stringify(figures.fragments)}`,
    `  verify: ${verdict.line}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
