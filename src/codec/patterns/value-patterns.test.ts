import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KNOWN_PATTERNS } from './known-patterns.ts'
import { requiredRuns } from './required-runs.ts'
import { characterLength } from './utf8-offsets.ts'
import { type ValueMatch, type ValuePattern, ValuePatterns } from './value-patterns.ts'

/** What the plain regular expressions find in the decoded text, by the words of the interface. */
function expected(
  patterns: readonly ValuePattern[],
  bytes: Buffer,
  start: number,
  end: number,
): ValueMatch[] {
  const text = bytes.toString('utf8', start, end)
  const characters = charactersOf(bytes, start, end)
  const inside = (unit: number) => characters.findLast((each) => each.unit <= unit)!
  return patterns
    .flatMap(({ name, regExp }) =>
      [...text.matchAll(new RegExp(regExp.source, [...new Set([...regExp.flags, 'g'])].join('')))].map(
        (match) => ({ name, length: match[0].length, index: match.index }),
      ),
    )
    .map(({ name, length, index }) => ({
      pattern: name,
      start: inside(index).start,
      end: length === 0 ? inside(index).start : inside(index + length - 1).end,
    }))
    .sort((a, b) => a.start - b.start)
}

/** Each character of the text: its first UTF-16 unit and its bytes. Found by decoding longer and longer pieces, not by UTF-8's rules. */
function charactersOf(bytes: Buffer, start: number, end: number) {
  const characters = [{ unit: 0, start, end: start }]
  characters.length = 0
  let unit = 0
  for (let at = start; at < end; ) {
    let length = 1
    // As long as one more byte is taken into the same character.
    while (length < 4 && at + length < end && isOne(bytes.subarray(at, at + length + 1))) length++
    const piece = bytes.toString('utf8', at, at + length)
    characters.push({ unit, start: at, end: at + length })
    unit += piece.length
    at += length
  }
  characters.push({ unit, start: end, end })
  return characters
}

function isOne(piece: Buffer): boolean {
  return [...piece.toString('utf8')].length === 1
}

function sameAsPlain(
  patterns: readonly ValuePattern[],
  compiled: ValuePatterns,
  bytes: Buffer,
  before = 0,
  after = 0,
) {
  const found = compiled.find(bytes, before, bytes.length - after)
  assert.deepEqual(found, expected(patterns, bytes, before, bytes.length - after))
  return found
}

const INSTANCES = [
  'li.wei+test@mail.example.com',
  'a@b.cn',
  '13812345678',
  '+86 19912345678',
  '8613812345678',
  '11010519491231002X',
  '440524200001010014',
  '6222021234567890123',
  '4111 1111 1111 1111',
  '6222-0212-3456-7890-123',
  '5500005555555559',
  '192.168.1.254',
  '8.8.8.8',
  'Bearer eyJhbGciOiJIUzI1NiJ9.abc==',
  'authorization: bearer  0123456789abcdef',
  'sk-proj-AbCdEf0123456789_-AbCd',
  'sk_live_0123456789abcdefgh',
]

/** An instance, whole or with a character dropped, doubled or replaced: a match, or nearly one. */
const nearMatch = fc
  .tuple(
    fc.constantFrom(...INSTANCES),
    fc.constantFrom('whole', 'dropped', 'doubled', 'replaced', 'upper', 'cut'),
    fc.nat(),
    fc.constantFrom('0', '9', 'x', '@', '.', '-', ' ', '_', '，', '😀'),
  )
  .map(([text, change, at, other]) => {
    const place = at % text.length
    const [head, tail] = [text.slice(0, place), text.slice(place + 1)]
    if (change === 'dropped') return head + tail
    if (change === 'doubled') return head + text[place] + text[place] + tail
    if (change === 'replaced') return head + other + tail
    if (change === 'upper') return text.toUpperCase()
    return change === 'cut' ? head : text
  })

const filler = fc.oneof(
  fc.constantFrom('', ' ', '，', '。电话：', '邮箱', '<', '"', '\n', '1', 'x', '😀', 'é', '@', '.', '-'),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
  fc
    .tuple(fc.constantFrom('x', '7', '日', '.', ' word'), fc.nat(300))
    .map(([unit, count]) => unit.repeat(count)),
)

const corpus = fc
  .array(fc.oneof(nearMatch, filler), { maxLength: 9 })
  .map((parts) => Buffer.from(parts.join('')))

test('known patterns find in bytes what the plain regular expressions find in the text, wherever it lies', () => {
  const compiled = new ValuePatterns(KNOWN_PATTERNS)
  assert.deepEqual(compiled.unfiltered, [])
  const found: Record<string, number> = Object.fromEntries(KNOWN_PATTERNS.map(({ name }) => [name, 0]))
  let without = 0
  // What lies around a value is not part of it, however much it looks so.
  const around = fc.constantFrom(
    '',
    '1',
    '13812345678',
    'a@b.cn',
    '@',
    '8.8.8.8',
    'sk-0123456789abcdefghij',
    '日',
    '\xff',
  )
  fc.assert(
    fc.property(corpus, around, around, (value, before, after) => {
      const [head, tail] = [Buffer.from(before, 'latin1'), Buffer.from(after, 'latin1')]
      const bytes = Buffer.concat([head, value, tail])
      const matches = sameAsPlain(KNOWN_PATTERNS, compiled, bytes, head.length, tail.length)
      for (const { pattern } of matches) found[pattern]! += 1
      if (matches.length === 0) without += 1
    }),
    { numRuns: 4_000 },
  )
  for (const [name, count] of Object.entries(found)) assert.ok(count > 50, `${name} was found ${count} times`)
  assert.ok(without > 300, `only ${without} values had no match`)
})

test('known patterns find each of their instances whole, and nothing in common text', () => {
  const compiled = new ValuePatterns(KNOWN_PATTERNS)
  for (const instance of INSTANCES) {
    const bytes = Buffer.from(`联系 ${instance}，谢谢`)
    const whole = compiled
      .find(bytes, 0, bytes.length)
      .map(({ start, end }) => bytes.toString('utf8', start, end))
    assert.ok(whole.includes(instance.replace('authorization: ', '')), `${instance}: ${whole}`)
  }
  for (const text of [
    'GET /v1/spans?limit=100 took 12.5 ms',
    '2026-06-15T12:00:00.123456789Z',
    '版本 1.2.3.4567',
    '1781524800000000000',
    'task-based, ask-me',
    'a @ b . c',
  ]) {
    assert.deepEqual(compiled.find(Buffer.from(text), 0, Buffer.byteLength(text)), [], text)
  }
})

interface Sampled {
  source: string
  /** A text that the expression matches, unless an assertion stands against it. */
  sample: string
}

const CHARACTERS = [
  'a',
  'b',
  'k',
  'S',
  '1',
  '7',
  '@',
  '-',
  '中',
  '文',
  'é',
  '\ufffd',
  '\u212a',
  '\u017f',
  '😀',
  '_',
  ' ',
]
const CLASSES: Sampled[] = [
  { source: '\\d', sample: '7' },
  { source: '\\w', sample: 'k' },
  { source: '\\W', sample: '中' },
  { source: '\\s', sample: ' ' },
  { source: '.', sample: '😀' },
  { source: '[ab1]', sample: '1' },
  { source: '[a-k]', sample: 'k' },
  { source: '[J-T]', sample: 'S' },
  { source: '[a中]', sample: '中' },
  { source: '[^a]', sample: '\u212a' },
  { source: '[\\d@]', sample: '@' },
  { source: '\\b', sample: '' },
  { source: '(?=.)', sample: '' },
  { source: '(?<!@)', sample: '' },
  { source: '(?!a)', sample: '' },
  { source: '(?:(a|é)\\1)', sample: 'aa' },
]

const { expression } = fc.letrec<{ expression: Sampled; atom: Sampled }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...CHARACTERS).map((character) => ({ source: character, sample: character })),
    fc.constantFrom(...CLASSES),
    tie('expression').map(({ source, sample }) => ({ source: `(?:${source})`, sample })),
    fc.tuple(tie('expression'), tie('expression'), fc.boolean()).map(([a, b, isFirst]) => ({
      source: `(?:${a.source}|${b.source})`,
      sample: (isFirst ? a : b).sample,
    })),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom([0, 1], [1, 1], [2, 2], [1, 3], [2, 40], [3, 3], [0, 0]),
        fc.boolean(),
      )
      .map(([{ source, sample }, [min = 0, max = 0], isMost]) => ({
        source: `(?:${source}){${min},${max}}`,
        sample: sample.repeat(isMost ? Math.min(max, 4) : min),
      })),
  ),
  expression: fc.array(tie('atom'), { minLength: 1, maxLength: 4 }).map((parts) => ({
    source: parts.map(({ source }) => source).join(''),
    sample: parts.map(({ sample }) => sample).join(''),
  })),
}))

const around = fc
  .array(fc.constantFrom(...CHARACTERS, 'x', '\n'), { maxLength: 6 })
  .map((parts) => parts.join(''))

test('any regular expression finds with its prefilter what it finds without, in text of any bytes', () => {
  let filtered = 0
  let matched = 0
  fc.assert(
    fc.property(
      expression,
      fc.constantFrom('', 'g', 'i', 'u', 'iu', 'v', 'iv', 's', 'm', 'y'),
      fc.array(
        fc.tuple(around, fc.constantFrom('same', 'upper', 'lower', 'cut', 'broken'), fc.nat(), around),
        {
          minLength: 3,
          maxLength: 3,
        },
      ),
      fc.constantFrom(0, 0, 0, 300),
      ({ source, sample }, flags, texts, padding) => {
        const regExp = new RegExp(source.replaceAll(' ', '[ ]'), flags)
        const patterns = [{ name: 'one', regExp }]
        const compiled = new ValuePatterns(patterns)
        if (compiled.unfiltered.length === 0) filtered += 1
        for (const [before, change, at, after] of texts) {
          const middle = {
            upper: sample.toUpperCase(),
            lower: sample.toLowerCase(),
            cut: sample.slice(1),
            same: sample,
            broken: sample,
          }[change]
          const bytes = Buffer.from(before + 'x'.repeat(padding) + middle + after)
          // One byte that makes no UTF-8 of what is around it.
          if (change === 'broken' && bytes.length > 0) bytes[at % bytes.length] = 0xe4
          matched += sameAsPlain(patterns, compiled, bytes).length > 0 ? 1 : 0
        }
      },
    ),
    { numRuns: 3_000 },
  )
  assert.ok(filtered > 700, `only ${filtered} expressions had a prefilter`)
  assert.ok(matched > 2_000, `only ${matched} texts had a match`)
})

test('what a character takes of bytes that are not UTF-8 is what the decoder takes', () => {
  const bytes = fc.array(
    fc.oneof(
      fc.nat(255),
      fc.constantFrom(0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf),
    ),
    { maxLength: 24 },
  )
  fc.assert(
    fc.property(bytes.map(Buffer.from), (text) => {
      const pieces: string[] = []
      for (let at = 0; at < text.length; ) {
        const length = characterLength(text, at, text.length)
        pieces.push(text.toString('utf8', at, at + length))
        at += length
      }
      assert.equal(pieces.join(''), text.toString('utf8'))
      for (const piece of pieces) assert.equal([...piece].length, 1)
    }),
    { numRuns: 3_000 },
  )
})

test('a pattern has a prefilter exactly when bytes can be told that each of its matches has', () => {
  const isFiltered = (regExp: RegExp) => requiredRuns(regExp) !== undefined
  for (const regExp of [/foo|barbaz/, /张三/, /\d{6,}x/, /(?:a|b)k@/, /x(?=y)-9/, /SECRET/i, /a@{3,}/u]) {
    assert.ok(isFiltered(regExp), String(regExp))
  }
  for (const regExp of [
    /\w+\s\w+/,
    /(?:)/,
    /x*/,
    /[^@]/,
    /foo|/,
    /(?:key@)?/,
    /\p{Script=Han}{2}/u,
    /张三/i,
    /ks/iu,
    /(?i:secret)/,
  ]) {
    assert.ok(!isFiltered(regExp), String(regExp))
  }
  const patterns = [
    { name: 'a', regExp: /foo/ },
    { name: 'b', regExp: /\s/ },
  ]
  assert.deepEqual(new ValuePatterns(patterns).unfiltered, ['b'])
})

test('two patterns of one name are refused', () => {
  const twice = [...KNOWN_PATTERNS, { name: 'email', regExp: /x/ }]
  assert.throws(() => new ValuePatterns(twice), { code: 'SIDEREAL_CONFIG_INVALID', message: /"email"/ })
})
