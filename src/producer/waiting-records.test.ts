import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WaitingRecords } from './waiting-records.ts'

test('whatever is taken and put back, records come in the order of their numbers, none lost or twice', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), count: fc.nat(700) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), count: fc.nat(900) }) },
    fc.record({ kind: fc.constant('fail' as const), count: fc.nat(300) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.infiniteStream(fc.nat()), (steps, random) => {
      const waiting = new WaitingRecords<{ number: number }>()
      let expected: number[] = []
      const inFlight: { number: number }[] = []
      let next = 0
      for (const { kind, count } of steps) {
        for (let i = 0; i < count; i++) {
          if (kind === 'add') {
            expected.push(next)
            waiting.add({ number: next++ })
          } else if (kind === 'take') {
            const first = waiting.first
            const record = waiting.shift()
            assert.equal(record, first)
            assert.equal(record?.number, expected.shift())
            if (record !== undefined) inFlight.push(record)
          } else if (inFlight.length > 0) {
            // In any order, as replies come.
            const [record] = inFlight.splice(random.next().value % inFlight.length, 1)
            waiting.putBack(record!)
            expected.push(record!.number)
          }
        }
        expected = expected.sort((a, b) => a - b)
        assert.equal(waiting.length, expected.length)
      }
      assert.deepEqual(
        [...waiting].map(({ number }) => number),
        expected,
      )
    }),
    { numRuns: 100 },
  )
})
