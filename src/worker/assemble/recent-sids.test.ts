import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecentSids } from './recent-sids.ts'

test('the last half of the capacity is always known, and a SID that never came is not', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, maxLength: 40 }), { maxLength: 300 }), (sids) => {
      const recent = new RecentSids(100)
      const added = new Set<string>()
      for (const sid of sids) {
        recent.add(sid)
        added.add(sid)
      }
      for (const sid of [...new Set(sids.slice(-50))]) assert.ok(recent.has(sid))
      for (const sid of sids) if (!added.has(`${sid}!`)) assert.equal(recent.has(`${sid}!`), false)
    }),
  )
})

test('what is older than the capacity is forgotten', () => {
  const recent = new RecentSids(1_000)
  for (let i = 0; i < 10_000; i++) recent.add(`sid-${i}`)
  let known = 0
  for (let i = 0; i < 10_000; i++) if (recent.has(`sid-${i}`)) known += 1
  assert.ok(known >= 500 && known <= 1_000, `${known}`)
  assert.ok(recent.has('sid-9999'))
  assert.equal(recent.has('sid-0'), false)
})
