import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger, RepeatedWarnings } from './logger.ts'

function capture(): { lines: Record<string, unknown>[]; write(line: string): void } {
  const lines: Record<string, unknown>[] = []
  return { lines, write: (line) => void lines.push(JSON.parse(line)) }
}

test('a secret or a payload that slips into the fields is not printed', () => {
  const out = capture()
  const logger = createLogger({ destination: out, base: { role: 'worker' } })
  logger.info(
    { password: 'p1', options: { token: 't1' }, value: 'v1', broker: 'localhost:9092' },
    'connecting',
  )
  const text = JSON.stringify(out.lines)
  assert.doesNotMatch(text, /p1|t1|v1/)
  assert.equal(out.lines[0]?.['broker'], 'localhost:9092')
  assert.equal(out.lines[0]?.['role'], 'worker')
  assert.equal(out.lines[0]?.['level'], 'info')
})

test('an error is written with its code and its cause', () => {
  const out = capture()
  const cause = new Error('connect ECONNREFUSED')
  const error = Object.assign(new Error('away', { cause }), { code: 'SIDEREAL_KAFKA_UNAVAILABLE' })
  createLogger({ destination: out }).error({ error }, 'failed')
  const text = JSON.stringify(out.lines[0]?.['error'])
  assert.match(text, /SIDEREAL_KAFKA_UNAVAILABLE/)
  assert.match(text, /ECONNREFUSED/)
})

test('a repeated warning is written once an interval and says how many were held back', () => {
  const out = capture()
  let nowMs = 0
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => ({ cancel: () => undefined }),
  }
  const warnings = new RepeatedWarnings(createLogger({ destination: out }), clock, 1_000)
  for (let i = 0; i < 5; i++) warnings.warn('sink', { sink: 'a' }, 'write failed')
  warnings.warn('other', {}, 'another')
  nowMs = 1_500
  warnings.warn('sink', { sink: 'a' }, 'write failed')
  assert.deepEqual(
    out.lines.map((line) => [line['msg'], line['repeated']]),
    [
      ['write failed', undefined],
      ['another', undefined],
      ['write failed', 4],
    ],
  )
})
