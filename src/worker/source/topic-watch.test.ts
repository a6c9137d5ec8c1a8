import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../model/manual-clock.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { TopicWatch } from './topic-watch.ts'

test('another id is told once; an answer that fails or is not known says nothing', async () => {
  const clock = new ManualClock()
  const answers = ['a', 'a', undefined, new Error('away'), 'a', 'b', 'b', undefined, 'b', 'c']
  let isAsked = 0
  let told = 0
  const watch = new TopicWatch({
    clock,
    logger: silentLogger,
    readId: async () => {
      const answer = answers[isAsked++]
      if (answer instanceof Error) throw answer
      return answer
    },
    onCreatedAnew: () => told++,
  })
  await watch.start()
  const toldAfter: number[] = [told]
  while (isAsked < answers.length) {
    await clock.advance(2_000)
    toldAfter.push(told)
  }
  assert.deepEqual(toldAfter, [0, 0, 0, 0, 0, 1, 1, 1, 1, 2])
  watch.stop()
  await clock.advance(60_000)
  assert.equal(isAsked, answers.length)
})
