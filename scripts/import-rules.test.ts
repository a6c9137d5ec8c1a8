import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findBreaches } from './import-rules.ts'

const breaches = (files: Record<string, string>) =>
  findBreaches(Object.entries(files).map(([path, text]) => ({ path, text })))

test('an import from a lower layer is allowed', () => {
  const found = breaches({
    'src/codec/a.ts': "import type { Span } from '../model/span.ts'\nimport { x } from 'avsc'",
    'src/model/span.ts': 'export interface Span {}',
    'src/worker/worker.ts':
      "import { s } from './source/s.ts'\nimport { loadConfig } from '../config/config.ts'",
    'src/worker/source/s.ts': "import {\n  a,\n  b,\n} from '../../codec/a.ts'",
    'src/config/config.ts': '',
  })
  assert.deepEqual(found, [])
})

test('an import from a higher layer is found, also of a type, over several lines, or by import()', () => {
  const found = breaches({
    'src/model/a.ts': "import type {\n  T,\n} from '../codec/t.ts'",
    'src/codec/t.ts': "const later = () => import('../kafka/k.ts')",
    'src/kafka/k.ts': '',
  })
  assert.equal(found.length, 2)
  assert.match(found[0] ?? '', /^src\/model\/a\.ts imports src\/codec\/t\.ts: codec lies above model/)
  assert.match(found[1] ?? '', /^src\/codec\/t\.ts imports src\/kafka\/k\.ts/)
})

test('siblings do not import each other', () => {
  assert.match(
    breaches({
      'src/worker/source/a.ts': "import { b } from '../deliver/b.ts'",
      'src/worker/deliver/b.ts': '',
    })[0] ?? '',
    /siblings/,
  )
  assert.match(
    breaches({ 'src/kafka/a.ts': "import '../storage/b.ts'", 'src/storage/b.ts': '' })[0] ?? '',
    /siblings/,
  )
})

test('a folder in no layer is found', () => {
  assert.match(
    breaches({ 'src/new/a.ts': "import '../model/b.ts'", 'src/model/b.ts': '' })[0] ?? '',
    /in no layer/,
  )
})

test('only cli and worker.ts read the configuration', () => {
  const found = breaches({
    'src/sinks/a.ts': "import { loadConfig } from '../config/config.ts'",
    'src/cli/b.ts': "import { loadConfig } from '../config/config.ts'",
    'src/config/config.ts': '',
  })
  assert.equal(found.length, 1)
  assert.match(found[0] ?? '', /^src\/sinks\/a\.ts .*take options instead/)
})

test('passing on exports is for the package entries alone', () => {
  const text = "export { a } from './a.ts'"
  const files = { 'src/producer/a.ts': '', 'src/kafka/a.ts': '' }
  assert.deepEqual(breaches({ ...files, 'src/producer/index.ts': text }), [])
  assert.match(breaches({ ...files, 'src/kafka/b.ts': text })[0] ?? '', /barrels/)
  assert.match(breaches({ ...files, 'src/kafka/b.ts': "export type * from './a.ts'" })[0] ?? '', /barrels/)
})

test('a cycle between files is found once, with its way', () => {
  const found = breaches({
    'src/model/a.ts': "import { b } from './b.ts'",
    'src/model/b.ts': "import { c } from './c.ts'",
    'src/model/c.ts': "import { a } from './a.ts'",
  })
  assert.deepEqual(found, ['cycle: src/model/a.ts → src/model/b.ts → src/model/c.ts → src/model/a.ts'])
})

test('two files may name types of each other, two folders may not', () => {
  const within = {
    'src/storage/a.ts': "import { b } from './b.ts'",
    'src/storage/b.ts': "import type { A } from './a.ts'",
  }
  assert.deepEqual(breaches(within), [])
  const between = {
    'src/storage/a.ts': "import { b } from './inner/b.ts'",
    'src/storage/inner/b.ts': "import type { A } from '../a.ts'",
  }
  assert.deepEqual(breaches(between), ['cycle: src/storage → src/storage/inner → src/storage'])
})

test('nothing imports a test, and src nothing outside src but in tests', () => {
  const files = { 'src/model/a.test.ts': '', 'integration-tests/x.ts': '' }
  assert.match(breaches({ ...files, 'src/model/b.ts': "import './a.test.ts'" })[0] ?? '', /imports a test/)
  assert.match(
    breaches({ ...files, 'src/model/b.ts': "import '../../integration-tests/x.ts'" })[0] ?? '',
    /outside src/,
  )
})
