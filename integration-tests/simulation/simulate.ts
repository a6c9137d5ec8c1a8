import { parseArgs } from 'node:util'
import { reportOf, runCampaign } from './campaign.ts'
import { runMutations } from './mutation-runner.ts'
import { keepAll, parseKept, reduceTo } from './shrink.ts'
import { runSchedule, scheduleOf } from './simulation.ts'
import { simulatedRecordTypes } from './world.ts'

// npm run simulate -- [--seed S] [--runs N] [--keep f0,r3-7] [--events] [--mutations [--only NAME] [--jobs N]]; see docs/simulation.md.

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string' },
    keep: { type: 'string' },
    events: { type: 'boolean', default: false },
    mutations: { type: 'boolean', default: false },
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    /** For the mutation runner: end at the first failure and print its seed alone. */
    brief: { type: 'boolean', default: false },
  },
})

const PROGRESS_RUNS = 1_000
const seed = wholeNumber('seed', values.seed)
const runs = wholeNumber('runs', values.runs ?? (values.events || values.keep !== undefined ? '1' : '10000'))
const jobs = Math.max(1, wholeNumber('jobs', values.jobs))
const recordTypes = simulatedRecordTypes()
const print = (line: string): void => void process.stdout.write(`${line}\n`)

if (values.mutations) {
  process.exitCode = (await runMutations({ firstSeed: seed, runs, only: values.only, jobs, print })) ? 0 : 1
} else if (runs === 1) {
  await runOne()
} else {
  await runMany()
}

async function runOne(): Promise<void> {
  const schedule = scheduleOf(seed)
  const kept = values.keep === undefined ? keepAll(schedule) : parseKept(values.keep)
  const onEvent = (atMs: number, label: string): void => print(`${atMs.toFixed(1)} ${label}`)
  const result = await runSchedule(reduceTo(schedule, kept), recordTypes, values.events ? onEvent : undefined)
  print(JSON.stringify({ seed, options: schedule.options, ...result }))
  if (result.violation !== undefined) process.exitCode = 1
}

async function runMany(): Promise<void> {
  const startedAt = process.cpuUsage()
  const campaign = await runCampaign(seed, runs, recordTypes, (result, at) => {
    const done = at - seed + 1
    if (!values.brief && done % PROGRESS_RUNS === 0) print(`${done} of ${runs} schedules`)
    return result.violation === undefined ? 'go on' : 'end'
  })
  const [failed] = campaign.failed
  if (values.brief) {
    print(JSON.stringify({ failed: failed ?? null, runs: campaign.runs }))
    return
  }
  const { user, system } = process.cpuUsage(startedAt)
  print(
    `${campaign.runs} schedules from seed ${seed}, ${campaign.records} records, ${campaign.steps} steps, ${((user + system) / 1e6).toFixed(1)} s of CPU`,
  )
  print(JSON.stringify(campaign.totals))
  if (failed === undefined) return
  print(await reportOf(failed, recordTypes))
  process.exitCode = 1
}

function wholeNumber(name: string, text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new Error(`--${name} wants a whole number, not ${text}`)
  return Number(text)
}
