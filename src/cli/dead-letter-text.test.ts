import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KafkaMessage } from 'kafkajs'
import { LetterList } from '../audit/dead-letter-list.ts'
import { readStoredLetter, type StoredLetter } from '../audit/stored-letter.ts'
import { DEAD_LETTER_HEADERS as NAMES } from '../model/dead-letter.ts'
import { hexLines, letterDetails, letterJson, letterTable, printable } from './dead-letter-text.ts'

function letter(
  offset: number,
  fields: Partial<Pick<KafkaMessage, 'key' | 'value'>> = {},
  headers: Record<string, string> = {},
): StoredLetter {
  const message: KafkaMessage = {
    key: Buffer.from('sid-1'),
    value: Buffer.from('value'),
    timestamp: String(1_700_000_000_000 + offset),
    attributes: 0,
    offset: '1',
    headers: {
      [NAMES.topic]: 'in',
      [NAMES.partition]: '0',
      [NAMES.offset]: String(offset),
      [NAMES.reason]: 'refused',
      [NAMES.appendTimeMs]: '1699999999999',
      ...headers,
    },
    ...fields,
  }
  return readStoredLetter(0, message) ?? assert.fail('not read as a letter')
}

test('no character of a stranger steers the terminal', () => {
  const evil = 'a\u001b[2J\r\n\u0007\u202e\u200b\u2028b'
  assert.equal(printable(evil), 'a\\u{1b}[2J\\u{d}\\u{a}\\u{7}\\u{202e}\\u{200b}\\u{2028}b')
  assert.equal(printable('检索 é'), '检索 é')
  const bad = letter(1, { key: Buffer.from(evil) }, { [NAMES.exceptionMessage]: evil })
  const list = new LetterList(10)
  list.add(bad)
  for (const text of [letterTable(list.summaries()), letterDetails(bad, 100)]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e\u200b\u2028]/)
  }
})

test('a dump shows sixteen bytes a line, the last one aligned like the others', () => {
  assert.deepEqual(hexLines(Buffer.from('0123456789abcdef\u0000é')), [
    '00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|',
    '00000010  00 c3 a9                                         |...|',
  ])
  assert.deepEqual(hexLines(Buffer.alloc(0)), [])
})

test('of many letters the newest are kept, each record once, with the number of its letters', () => {
  const list = new LetterList(3)
  for (let offset = 0; offset < 1_000; offset++) {
    list.add(letter(offset))
    if (offset % 100 === 99) list.add(letter(offset))
  }
  assert.equal(list.records, 1_000)
  assert.deepEqual(list.reasons, [['refused', 1_000]])
  assert.deepEqual(
    list.summaries().map(({ offset, letters }) => [offset, letters]),
    [
      [997, 1],
      [998, 1],
      [999, 2],
    ],
  )
})

test('a value that was left out is told from a tombstone, and from a record that only claims it', () => {
  const size = { [NAMES.omittedValueBytes]: '9000000', [NAMES.omittedValueSha256]: 'ab' }
  assert.match(letterDetails(letter(1, { value: null }, size), 10), /9000000 bytes, left out/)
  assert.match(
    letterDetails(letter(1, { value: null }, { ...size, [NAMES.reason]: 'tombstone' }), 10),
    /value: none/,
  )
  assert.match(letterDetails(letter(1, {}, size), 10), /value: 5 bytes/)
})

test('the JSON of a letter holds key, value and headers of the record byte for byte', () => {
  const bytes = Buffer.from([0, 0xff, 0x80, 10])
  const parsed = JSON.parse(letterJson(letter(7, { key: bytes, value: bytes }, { own: 'yes' })))
  assert.deepEqual(Buffer.from(parsed.keyBase64, 'base64'), bytes)
  assert.deepEqual(Buffer.from(parsed.valueBase64, 'base64'), bytes)
  assert.deepEqual(parsed.headersBase64, [{ name: 'own', value: Buffer.from('yes').toString('base64') }])
  assert.deepEqual([parsed.topic, parsed.partition, parsed.offset, parsed.reason], ['in', 0, 7, 'refused'])
})
