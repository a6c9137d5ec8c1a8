import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { nodeProblem } from './node-version.ts'

test('a Node below the one that package.json names is refused, with both versions in the message', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string }
  }
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node) ?? []
  const oldest = `${major}.${minor}`
  for (const good of [
    `${oldest}.0`,
    `${major}.${Number(minor) + 1}.3`,
    `${Number(major) + 1}.0.0`,
    '24.21.0',
  ])
    assert.equal(nodeProblem(good), undefined, good)
  for (const old of [`${major}.${Number(minor) - 1}.9`, `${Number(major) - 1}.99.0`, '20.20.2', '8.0.0']) {
    const problem = nodeProblem(old) ?? ''
    assert.ok(problem.includes(old) && problem.includes(oldest), `${old}: ${problem}`)
  }
})
