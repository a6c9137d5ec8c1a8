import { KNOWN_PATTERNS } from '../src/codec/patterns/known-patterns.ts'
import { type ValuePattern, ValuePatterns } from '../src/codec/patterns/value-patterns.ts'

/**
 * CPU of the search for the known patterns, in nanoseconds a KB of values: the plain regular expressions over the decoded text beside the prefilters, by
 * turns. Of short values (40 B) and long ones (8 KB), in English, Chinese and JSON; `hits`: one of 20 values has an instance. Run:
 * `node bench/value-patterns.ts [rounds]`.
 */

const ENGLISH =
  'The customer asked whether the train from Hamburg to Munich leaves at 10:42 or later. The agent looked up 3 connections, compared prices (59.90 EUR) and answered that seats are free. '
const CHINESE =
  '用户询问从上海到北京的高铁票价，模型回答二等座五百五十三元，全程约四个半小时。随后系统查询了余票，共有12趟列车可选，并给出了推荐的出发时间。'
const JSON_TEXT =
  '{"flow_id":"flow-7731","node":"llm:4","model":"deepseek-chat","temperature":0.7,"usage":{"prompt_tokens":1204,"completion_tokens":382},"url":"https://api.example.com/v1/chat?id=8f3a"} '
const INSTANCE = ' li.wei@example.com 13812345678 '
const TOTAL_BYTES = 1 << 20

const rounds = Number(process.argv[2] ?? 15)
const filtered = new ValuePatterns(KNOWN_PATTERNS)
const plain = KNOWN_PATTERNS.map(({ regExp }) => new RegExp(regExp.source, `${regExp.flags}g`))

interface Value {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** Values that lie one behind the other, as in a slab. */
function valuesOf(text: string, valueBytes: number, hasHits: boolean): Value[] {
  const source = Buffer.from(text)
  const values: Value[] = []
  const bytes = Buffer.alloc(TOTAL_BYTES)
  for (let start = 0, n = 0; start + valueBytes <= bytes.length; start += valueBytes, n++) {
    for (let at = 0; at < valueBytes; ) {
      // Each begins elsewhere in the text, at a character.
      let from = at === 0 ? (n * 37) % source.length : 0
      while ((source[from % source.length]! & 0xc0) === 0x80) from++
      from %= source.length
      at += source.copy(bytes, start + at, from, Math.min(source.length, from + valueBytes - at))
    }
    if (hasHits && n % 20 === 0) bytes.write(INSTANCE, start)
    values.push({ bytes, start, end: start + valueBytes })
  }
  return values
}

function plainFinds({ bytes, start, end }: Value): number {
  const text = bytes.toString('utf8', start, end)
  let found = 0
  for (const regExp of plain) for (const _ of text.matchAll(regExp)) found++
  return found
}

function filteredFinds(value: Value): number {
  return filtered.find(value.bytes, value.start, value.end).length
}

/** The least work for each value that the plain way cannot do without. */
function decodes({ bytes, start, end }: Value): number {
  return bytes.toString('utf8', start, end).length
}

/** One known pattern alone, behind its prefilter. */
function alone(pattern: ValuePattern): (value: Value) => number {
  const patterns = new ValuePatterns([pattern])
  return ({ bytes, start, end }) => patterns.find(bytes, start, end).length
}

function compare(
  title: string,
  values: readonly Value[],
  ways: Record<string, (value: Value) => number>,
): void {
  const figures = Object.fromEntries(Object.keys(ways).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const before = process.cpuUsage()
      for (const value of values) way(value)
      const { user, system } = process.cpuUsage(before)
      figures[name]!.push(((user + system) * 1000) / (TOTAL_BYTES / 1024))
    }
  }
  const medians = Object.entries(figures).map(
    ([name, all]) => `${name} ${Math.round(all.sort((a, b) => a - b)[rounds >> 1]!)}`,
  )
  process.stdout.write(`${title.padEnd(20)} ns/KB: ${medians.join(', ')}\n`)
}

for (const [language, text] of Object.entries({ English: ENGLISH, Chinese: CHINESE, JSON: JSON_TEXT })) {
  for (const valueBytes of [40, 8192]) {
    for (const hasHits of [false, true]) {
      const title = `${language} ${valueBytes} B${hasHits ? ' hits' : ''}`
      const values = valuesOf(text, valueBytes, hasHits)
      compare(title, values, { plain: plainFinds, filtered: filteredFinds, decoding: decodes })
      if (hasHits) continue
      compare(
        `  each alone`,
        values,
        Object.fromEntries(KNOWN_PATTERNS.map((each) => [each.name, alone(each)])),
      )
    }
  }
}
