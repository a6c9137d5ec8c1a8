import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SIDEREAL_FOLDER } from '../../src/local/local-folders.ts'
import { ChaosRun } from './chaos-run.ts'
import { formatReport } from './report.ts'
import { SERVER_FAULTS } from './server-faults.ts'
import { WORKER_FAULTS } from './worker-faults.ts'

// npm run chaos -- [--minutes N] [--seed S] [--rate SPANS_PER_SECOND] [--faults 'NAME,NAME' | none] [--set KEY=VALUE …] [--keep] [--list]
// --keep: the logs of the workers stay after a clean run, too.
// Three workers on real servers under load, and one fault after another. Exit code 0 = nothing lost, doubled or altered.

/** Spans a second: less than half of what went through without lag on two cores, servers and load on them too (2,400). */
const DEFAULT_RATE = 1_000

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    rate: { type: 'string', default: String(DEFAULT_RATE) },
    faults: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
})
const all = [...WORKER_FAULTS, ...SERVER_FAULTS]
if (values.list) {
  for (const { name, about } of all) process.stdout.write(`${name}: ${about}\n`)
  process.exit(0)
}
const wanted = values.faults === 'none' ? [] : values.faults?.split(',').map((name) => name.trim())
const unknown = wanted?.filter((name) => !all.some((fault) => fault.name === name)) ?? []
if (unknown.length > 0) throw new Error(`no fault is called ${unknown.join(', ')}; --list names them`)
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed)
const startedAt = new Date()
const folder = join(
  SIDEREAL_FOLDER,
  'chaos',
  `${startedAt.toISOString().slice(0, 19).replaceAll(':', '')}-${seed}`,
)
mkdirSync(folder, { recursive: true })

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())
const lines: string[] = []
const say = (line: string): void => {
  const text = `${new Date().toISOString().slice(11, 23)} ${line}`
  lines.push(text)
  process.stderr.write(`${text}\n`)
  appendFileSync(join(folder, 'timeline.log'), `${text}\n`)
}

say(`seed ${seed}; logs in ${folder}`)
const report = await new ChaosRun({
  seed,
  folder,
  minutes: Number(values.minutes),
  rate: Number(values.rate),
  faults: wanted === undefined ? all : all.filter(({ name }) => wanted.includes(name)),
  changes: Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
  say,
  signal: stop.signal,
}).run()
const text = formatReport(report)
writeFileSync(join(folder, 'report.md'), text)
writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
process.stdout.write(`${text}\n`)
if (report.isClean) {
  if (!values.keep) rmSync(join(folder, 'work'), { recursive: true, force: true })
} else {
  process.stdout.write(`${lines.join('\n')}\n\nFAILED with seed ${seed}. Logs of every worker: ${folder}\n`)
}
process.exit(report.isClean ? 0 : 1)
