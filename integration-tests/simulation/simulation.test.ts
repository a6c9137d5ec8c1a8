import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportOf, runCampaign } from './campaign.ts'
import { misfits } from './mutation-runner.ts'
import { REGRESSIONS } from './regressions.ts'
import { describe, keepAll, keptText, parseKept, reduceTo, shrink } from './shrink.ts'
import { runSchedule, scheduleOf } from './simulation.ts'
import { simulatedRecordTypes } from './world.ts'

const FIRST_SEED = 1
const SCHEDULES = 10_000
const SAME_SEEDS = 25

const recordTypes = simulatedRecordTypes()

test(`nothing is lost, counted twice or settled too early in ${SCHEDULES} random schedules with faults`, async (t) => {
  const campaign = await runCampaign(FIRST_SEED, SCHEDULES, recordTypes, ({ violation }) =>
    violation === undefined ? 'go on' : 'end',
  )
  t.diagnostic(
    `seeds ${FIRST_SEED} to ${FIRST_SEED + campaign.runs - 1}, ${campaign.records} records, ${campaign.steps} steps`,
  )
  t.diagnostic(JSON.stringify(campaign.totals))
  const [failed] = campaign.failed
  if (failed !== undefined) assert.fail(await reportOf(failed, recordTypes))
  // A simulator that meets no faults proves nothing.
  for (const [name, count] of Object.entries(campaign.totals)) assert.ok(count > 0, `no schedule met ${name}`)
})

test('seeds that once found something find nothing', async () => {
  for (const { seed, found } of REGRESSIONS) {
    const { violation } = await runSchedule(scheduleOf(seed), recordTypes)
    assert.equal(violation, undefined, `seed ${seed} (${found})`)
  }
})

test('each rule of the list of mutations is where the list says that it is', () => {
  assert.deepEqual(misfits(), [])
})

test('a seed gives the same events in the same order each time', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SAME_SEEDS; seed++) {
    const [first, second] = [await eventsOf(seed), await eventsOf(seed)]
    assert.ok(first.length > 50, `seed ${seed} has events`)
    assert.deepEqual(first, second, `seed ${seed}`)
  }
})

test('two seeds give different events', async () => {
  assert.notDeepEqual(await eventsOf(1), await eventsOf(2))
})

test('a failing schedule is shortened to what the failure needs, and its command repeats it', async () => {
  // A record that the oracle must miss: it says that it ends as rows, and is garbage. Alone it fails as it does in company.
  const schedule = scheduleOf(3)
  const place = schedule.records.findLastIndex(({ record }) => record?.end === 'rows')
  const planned = schedule.records[place]
  assert.ok(planned?.record !== undefined && planned.record !== null)
  const garbage = { ...planned, record: { ...planned.record, value: Buffer.from('garbage') } }
  const failing = { ...schedule, records: schedule.records.with(place, garbage) }
  const { violation } = await runSchedule(failing, recordTypes)
  assert.ok(violation !== undefined)
  const kept = await shrink(failing, violation, recordTypes)
  assert.ok(kept.records.includes(place), 'the cause is left')
  assert.ok(kept.records.length + kept.faults.length <= 3, keptText(kept))
  assert.equal(describe(failing, kept).length, kept.records.length + kept.faults.length)
  const again = await runSchedule(reduceTo(failing, parseKept(keptText(kept))), recordTypes)
  assert.ok(again.violation !== undefined)
  assert.deepEqual(parseKept(keptText(keepAll(failing))), keepAll(failing))
})

async function eventsOf(seed: number): Promise<string[]> {
  const events: string[] = []
  const { digest } = await runSchedule(scheduleOf(seed), recordTypes, (atMs, label) =>
    events.push(`${atMs} ${label}`),
  )
  return [...events, String(digest)]
}
