import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkSchemas } from './check-schemas.ts'

type Field = { name: string; type: unknown; default?: unknown }

const union = ['null', { type: 'record', name: 'Inner', fields: [{ name: 'a', type: 'long' }] }]
const base: Field[] = [
  { name: 'id', type: 'string' },
  { name: 'value', type: union },
]

function problemsOf(versions: Record<string, Field[] | string>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'schemas-'))
  try {
    mkdirSync(join(folder, 'x.Record'))
    for (const [file, content] of Object.entries(versions)) {
      const schema = { type: 'record', name: 'Record', namespace: 'x', fields: content }
      writeFileSync(
        join(folder, 'x.Record', file),
        typeof content === 'string' ? content : JSON.stringify(schema),
      )
    }
    return checkSchemas(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the schemas of this repository pass', () => {
  assert.deepEqual(checkSchemas(fileURLToPath(new URL('../schemas', import.meta.url))), [])
})

test('fields with a default may come and go', () => {
  const more = [...base, { name: 'more', type: 'string', default: '' }]
  assert.deepEqual(problemsOf({ '1.avsc': base, '2.avsc': more, '3.avsc': base, '10.avsc': base }).length, 1)
  assert.deepEqual(problemsOf({ '1.avsc': base, '2.avsc': more, '3.avsc': base }), [])
})

test('what breaks old or new readers is named with both versions', () => {
  const noDefault = problemsOf({ '1.avsc': base, '2.avsc': [...base, { name: 'more', type: 'string' }] })
  assert.match(noDefault.join(), /^x\.Record: 2\.avsc cannot read what 1\.avsc writes/)
  const removed = problemsOf({ '1.avsc': base, '2.avsc': base.slice(1) })
  assert.match(removed.join(), /^x\.Record: 1\.avsc cannot read what 2\.avsc writes/)
  const grownUnion = problemsOf({
    '1.avsc': base,
    '2.avsc': [base[0]!, { name: 'value', type: [...union, 'string'] }],
  })
  assert.match(grownUnion.join(), /^x\.Record: 1\.avsc cannot read what 2\.avsc writes/)
  const retyped = problemsOf({ '1.avsc': base, '2.avsc': [{ name: 'id', type: 'long' }, base[1]!] })
  assert.equal(retyped.length, 2)
  const widened = problemsOf({
    '1.avsc': [{ name: 'id', type: 'int' }],
    '2.avsc': [{ name: 'id', type: 'long' }],
  })
  assert.match(widened.join(), /^x\.Record: 1\.avsc cannot read what 2\.avsc writes/)
})

test('a version is held against all earlier ones, not only the last', () => {
  const problems = problemsOf({
    '1.avsc': [{ name: 'more', type: 'string', default: '' }],
    '2.avsc': [],
    '3.avsc': [{ name: 'more', type: 'long', default: 0 }],
  })
  assert.ok(problems.some((problem) => problem.includes('3.avsc cannot read what 1.avsc')))
  assert.ok(!problems.some((problem) => problem.includes('2.avsc')))
})

test('a gap, another name and a broken file are found', () => {
  assert.match(problemsOf({ '1.avsc': base, '3.avsc': base }).join(), /3\.avsc stands where 2\.avsc/)
  assert.match(problemsOf({ '1.avsc': '{' }).join(), /1\.avsc is not a valid schema/)
  assert.match(
    problemsOf({ '1.avsc': '{"type": "record", "name": "x.Other", "fields": []}' }).join(),
    /defines x\.Other/,
  )
  assert.match(problemsOf({}).join(), /no version/)
})
