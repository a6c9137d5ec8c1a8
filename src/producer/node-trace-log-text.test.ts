import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { NodeLog } from './node-log.ts'
import { NodeTraceLog } from './node-trace-log.ts'
import type { LargeTextStore } from './node-trace-log-text.ts'

/*
 * golden/goldens.jsonl is made by golden/make_goldens.py with Python's own json module from golden/cases.jsonl; what the marks in the cases mean is said there.
 */

interface Golden {
  readonly name: string
  /** The text of the original. */
  readonly python: string
  /** Ours, where it differs. */
  readonly ours?: string
}

type Fields = Record<string, unknown>

interface Case {
  readonly name: string
  readonly log: Fields
  readonly nodes: readonly Fields[]
  readonly store?: boolean
}

const path = (name: string) => new URL(`./golden/${name}`, import.meta.url).pathname
const lines = (text: string) => text.trimEnd().split('\n')
const goldens = lines(readFileSync(path('goldens.jsonl'), 'utf8')).map((line) => JSON.parse(line) as Golden)
const cases = lines(readFileSync(path('cases.jsonl'), 'utf8')).map((line) => decode(JSON.parse(line)) as Case)

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [[mark, inner] = ['', undefined]] = entries
  if (entries.length === 1) {
    const size = Number(inner)
    if (mark === '$bytes') return 'x'.repeat(size)
    if (mark === '$wide') return '你'.repeat(Math.floor(size / 3)) + 'x'.repeat(size % 3)
    if (mark === '$float') return Number(String(inner).replace('inf', 'Infinity'))
    if (mark === '$int') return BigInt(String(inner))
    if (mark === '$set') return new Set((decode(inner) as unknown[]).sort())
    if (mark === '$map') return new Map((inner as [string, unknown][]).map(([key, v]) => [key, decode(v)]))
    if (mark === '$blob') return Buffer.from(String(inner))
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, decode(item)]))
}

const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const camelFields = (fields: unknown) =>
  Object.fromEntries(Object.entries(fields as Fields).map(([key, value]) => [camel(key), value]))

function logOf({ log: fields, nodes }: Case): NodeTraceLog {
  const log = new NodeTraceLog()
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'usage') log.appendUsageData(camelFields(value))
    else if (name === 'srv') for (const [key, text] of entriesOf(value)) log.addSrv(key, text)
    else if (name === 'srv_tag') Object.assign(log.srvTag, value)
    else Object.assign(log, { [camel(name)]: value })
  }
  log.addNodeLog(nodes.map(nodeOf))
  return log
}

function nodeOf(fields: Fields): NodeLog {
  const { node_id, node_type, node_name, func_id, func_type, func_name, id, data, next_log_ids, ...others } =
    fields as Record<string, string>
  const node = new NodeLog({
    id: id!,
    nodeId: node_id!,
    nodeType: node_type!,
    nodeName: node_name!,
    ...(func_id === undefined ? {} : { funcId: func_id, funcType: func_type!, funcName: func_name! }),
  })
  for (const next of (next_log_ids ?? []) as Iterable<string>) node.setNextNodeId(next)
  const { input, output, config, usage } = (data ?? {}) as unknown as Record<string, unknown>
  for (const [key, value] of entriesOf(input)) node.appendInputData(key, value)
  for (const [key, value] of entriesOf(output)) node.appendOutputData(key, value)
  for (const [key, value] of entriesOf(config)) node.appendConfigData({ [key]: value })
  node.appendUsageData(camelFields(usage ?? {}))
  if ('duration' in others) node.setEnd()
  for (const [name, value] of Object.entries(others)) {
    if (name === 'logs') node.logs.push(...(value as unknown as string[]))
    else Object.assign(node, { [camel(name)]: value })
  }
  return node
}

const entriesOf = (value: unknown): [string, unknown][] =>
  value instanceof Map ? [...value] : Object.entries((value ?? {}) as Fields)

const linkStore: LargeTextStore = {
  uploadFile: async (name, bytes) => {
    assert.match(name, /^[0-9a-f]{32}\.txt$/)
    return `https://store.example/${bytes.length}.txt`
  },
}

test('the text of a log is that of Python’s to_json, field for field', async () => {
  assert.equal(cases.length, goldens.length)
  for (const [i, { name, python, ours = python }] of goldens.entries()) {
    const given = cases[i]!
    assert.equal(given.name, name)
    const log = logOf(given)
    assert.equal(given.store === true ? await log.toJsonString(linkStore) : log.toJsonString(), ours, name)
    assert.doesNotThrow(() => JSON.parse(ours), name)
  }
})

test('only numbers that JSON does not have, and texts of 5,088 to 5,120 bytes before a store, are written in another way than Python’s', () => {
  const different = goldens.filter(({ ours }) => ours !== undefined).map(({ name }) => name)
  assert.deepEqual(different, [
    'numbers that JSON does not have',
    ...[5088, 5089, 5119, 5120].map((bytes) => `a text of ${bytes} bytes, with a store`),
    'texts of 5,120 and 5,121 bytes in characters of three, with a store',
  ])
})

test('the goldens are what Python writes today', (t) => {
  let made: string
  try {
    made = execFileSync('python3', [path('make_goldens.py'), path('cases.jsonl')], { encoding: 'utf8' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    t.skip('no python3 here')
    return
  }
  assert.equal(made, readFileSync(path('goldens.jsonl'), 'utf8'))
})

test('what JSON and UTF-8 do not have is written as what they have, and counted', () => {
  const log = new NodeTraceLog({ question: 'a\ud800b' })
  log.addSrv('x', Number.NaN)
  const text = JSON.parse(log.toJsonString()) as Record<string, unknown>
  assert.equal(text['question'], 'a\ufffdb')
  assert.deepEqual([text['srv'], text['srv_tag']], [{ x: null }, { x: null }])
  assert.deepEqual(log.textFaults, { nonFinite: 2, replacedSurrogates: 1, notStored: 0 })
})

test('a text that the store does not take stays in the log, whole, and is counted', async () => {
  const large = 'x'.repeat(5_121)
  const log = new NodeTraceLog({ question: large, caller: large })
  log.addAnswer(large)
  let calls = 0
  const text = await log.toJsonString({
    uploadFile: async () => {
      if (++calls === 1) throw new Error('the store is away')
      // What the source's store gives then.
      return calls === 2 ? '' : 'link'
    },
  })
  const { question, answer, caller } = JSON.parse(text) as Record<string, unknown>
  assert.deepEqual([question, answer, caller].sort(), [large, large, 'link'].sort())
  assert.equal(log.textFaults.notStored, 2)
})

test('whatever a service puts into a log, its text is JSON', async () => {
  const log = new NodeTraceLog()
  const cycle: Fields = {}
  cycle['self'] = cycle
  let deep: unknown = 'x'
  for (let i = 0; i < 5_000; i++) deep = [deep]
  const failing = {
    get bad() {
      throw new Error('no')
    },
  }
  log.addSrv('all', [
    cycle,
    deep,
    failing,
    () => 1,
    Symbol('s'),
    undefined,
    new Date(0),
    new Date(Number.NaN),
  ])
  for (const text of [log.toJsonString(), await log.toJsonString(linkStore)]) {
    const [self, , bad, ...others] = (JSON.parse(text) as { srv: { all: unknown[] } }).srv.all
    assert.deepEqual(self, { self: null })
    assert.deepEqual(bad, { bad: '[Error: no]' })
    assert.deepEqual(others, [null, null, null, '1970-01-01T00:00:00.000Z', null])
  }
})

test('a log with objects that point at one another, or that throw, has a text, which is JSON', async () => {
  const log = new NodeTraceLog()
  const people = Array.from({ length: 12 }, (_, i) => ({ name: `p${i}`, friends: [] as object[] }))
  for (const person of people) person.friends.push(...people)
  log.addSrv('people', people)
  const throwing = new Proxy({}, { getPrototypeOf: () => assert.fail('no prototype') })
  log.addSrv('throwing', [throwing, 'next'])
  for (const text of [log.toJsonString(), await log.toJsonString(linkStore)]) {
    const { srv } = JSON.parse(text) as { srv: { people: unknown[]; throwing: unknown[] } }
    assert.equal(srv.people.length, 12)
  }
  const plain = new NodeTraceLog()
  plain.addSrv('throwing', [throwing, 'next'])
  for (const text of [plain.toJsonString(), await plain.toJsonString(linkStore)]) {
    const { srv } = JSON.parse(text) as { srv: { throwing: unknown[] } }
    assert.deepEqual(srv.throwing, ['[AssertionError [ERR_ASSERTION]: no prototype]', 'next'])
  }
})

test('a field to which nothing was assigned is there, as null', () => {
  const log = new NodeTraceLog()
  log.addAnswer(undefined as unknown as string)
  const text = JSON.parse(log.toJsonString()) as Record<string, unknown>
  assert.equal(text['answer'], null)
})

test('with a store the text says the same as without one: forms of an object’s own, instances of classes', async () => {
  class Message {
    readonly kind = 'human'
    readonly text: string
    constructor(text: string) {
      this.text = text
    }
  }
  const log = new NodeTraceLog()
  const node = new NodeLog({ nodeId: 'n', nodeType: 'llm', nodeName: 'model' })
  const shown = { a: 1, toJSON: () => ({ shown: 2 }) }
  node.appendInputData('small', [shown, new Message('short'), new Error('no'), new Set(['s']), new Date(0)])
  log.addNodeLog(node)
  const store = { uploadFile: async () => 'link' }
  assert.equal(await log.toJsonString(store), log.toJsonString())
  node.appendInputData('large', [new Message('x'.repeat(6_000)), { toJSON: () => 'y'.repeat(6_000) }])
  const text = await log.toJsonString(store)
  assert.match(text, /"large": \[\{"kind": "human", "text": "link"\}, "link"\]/)
})
