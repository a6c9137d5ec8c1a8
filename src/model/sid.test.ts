import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSid, SidGenerator } from './sid.ts'

const options = { sub: 'spf', location: 'hf', ip: '192.168.10.12', port: 7880, host: '' }

test('a SID has the form of the source description', () => {
  const generator = new SidGenerator({ ...options, nowMs: () => 0x1a2034abcde, randomByte: 0x9, pid: 0xbc })
  assert.equal(generator.next(), 'spf09bc0000@hf1a2034abcde0a0c782')
  assert.equal(generator.next(), 'spf09bc0001@hf1a2034abcde0a0c782')
})

test('only the last 11 hex digits of the time are in a SID, and short times are padded', () => {
  const of = (ms: number) => new SidGenerator({ ...options, nowMs: () => ms, randomByte: 0, pid: 0 }).next()
  assert.equal(of(0xf1a2034abcde), 'spf00000000@hf1a2034abcde0a0c782')
  assert.equal(of(5), 'spf00000000@hf000000000050a0c782')
})

test('100,000 SIDs of one burst differ, the clock moving only while the generator waits', () => {
  let reads = 0
  const nowMs = () => 1_759_000_000_000 + Math.floor(reads++ / 70_000)
  const generator = new SidGenerator({ ...options, nowMs })
  const sids = new Set<string>()
  for (let i = 0; i < 100_000; i++) sids.add(generator.next())
  assert.equal(sids.size, 100_000)
})

test('SIDs differ on a clock that stands still', () => {
  const generator = new SidGenerator({ ...options, nowMs: () => 1_759_000_000_000 })
  const sids = new Set<string>()
  for (let i = 0; i < 66_000; i++) sids.add(generator.next())
  assert.equal(sids.size, 66_000)
})

test('SIDs differ and their time never goes back, whatever the clock does', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 500 }), (steps) => {
      let now = 1_759_000_000_000
      let at = 0
      const nowMs = () => {
        now += steps[at++ % steps.length]!
        return now
      }
      const generator = new SidGenerator({ ...options, nowMs })
      const sids = new Set<string>()
      let last = 0
      for (let i = 0; i < 1000; i++) {
        const sid = generator.next()
        const parts = parseSid(sid)
        assert.ok(parts.ok)
        assert.ok(parts.timeMs >= last)
        last = parts.timeMs
        sids.add(sid)
      }
      assert.equal(sids.size, 1000)
    }),
  )
})

test('a clock an hour back does not stop the generator when the index is used up', () => {
  let now = 1_759_000_000_000
  const generator = new SidGenerator({ ...options, nowMs: () => now })
  const sids = new Set<string>([generator.next()])
  now -= 3_600_000
  for (let i = 0; i < 140_000; i++) sids.add(generator.next())
  assert.equal(sids.size, 140_001)
})

test('threads of one process make distinct SIDs in one millisecond, the random byte being the same', () => {
  const threads = Array.from({ length: 16 }, (_, threadId) => ({ pid: 0x1cd, threadId }))
  assertDistinct(threads, 2_000)
})

test('so do processes whose pids have the same last 8 bits', () => {
  const processes = Array.from({ length: 16 }, (_, i) => ({ pid: 0xcd + i * 256, threadId: 0 }))
  assertDistinct(processes, 2_000)
})

test('so do containers of many hosts that have one pid and one address', () => {
  const containers = Array.from({ length: 16 }, (_, i) => ({ pid: 1, threadId: 0, host: `3f9c0a7be1${i}` }))
  assertDistinct(containers, 100)
})

function assertDistinct(
  owners: readonly { pid: number; threadId: number; host?: string }[],
  count: number,
): void {
  const sids = new Set<string>()
  for (const owner of owners) {
    const generator = new SidGenerator({
      ...options,
      ...owner,
      nowMs: () => 1_759_000_000_000,
      randomByte: 9,
    })
    for (let i = 0; i < count; i++) sids.add(generator.next())
  }
  assert.equal(sids.size, owners.length * count)
}

test('parts come back from any SID that the generator makes', () => {
  const word = fc.string({ unit: 'grapheme', maxLength: 20 })
  fc.assert(
    fc.property(
      word.filter((sub) => !sub.includes('@')),
      word,
      fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)),
      fc.integer({ min: 10, max: 65535 }),
      fc.nat(2 ** 44 - 1),
      (sub, location, octets, port, timeMs) => {
        const sid = new SidGenerator({
          sub,
          location,
          ip: octets.join('.'),
          port,
          nowMs: () => timeMs,
          randomByte: 0xab,
          pid: 0xcd,
          host: '',
        }).next()
        assert.deepEqual(parseSid(sid), {
          ok: true,
          sub,
          process: 'abcd',
          index: 0,
          location,
          timeMs,
          ipTail: [octets[2], octets[3]],
          portHead: String(port).slice(0, 2),
        })
      },
    ),
  )
})

test('the twelve blanks of one of today’s generators are tolerated', () => {
  const plain = parseSid('spf00bc0007@hf1a2034abcde0a0c782')
  assert.ok(plain.ok)
  assert.deepEqual(parseSid(`spf00bc0007@hf1a2034abcde${' '.repeat(12)}0a0c782`), plain)
  assert.equal(parseSid(`spf00bc0007@hf1a2034abcde${' '.repeat(11)}0a0c782`).ok, false)
})

test('any other string is refused with a reason, never with an exception', () => {
  for (const sid of [
    '',
    'x',
    '0123456789abcdef0123456789abcdef',
    'spf00bc0007#hf1a2034abcde0a0c782',
    'spf00bc0007@hf1a2034abcde0a0c783',
  ]) {
    const parsed = parseSid(sid)
    assert.ok(!parsed.ok && parsed.reason.length > 20)
  }
  fc.assert(fc.property(fc.string({ maxLength: 300 }), (sid) => typeof parseSid(sid).ok === 'boolean'))
})

test('settings that cannot make a SID are refused by name', () => {
  const refuses = (change: Partial<typeof options>, message: RegExp) =>
    assert.throws(() => new SidGenerator({ ...options, ...change }), {
      code: 'SIDEREAL_SID_INVALID',
      message,
    })
  refuses({ ip: '' }, /IPv4/)
  refuses({ ip: '10.0.0.256' }, /10\.0\.0\.256/)
  refuses({ ip: '::1' }, /IPv4/)
  refuses({ port: 9 }, /port "9"/)
  refuses({ port: 70000 }, /70000/)
  refuses({ sub: 'a@b' }, /@/)
  refuses({ location: 'x'.repeat(250) }, /256/)
})
