import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configGroups } from '../src/config/config.ts'
import { DEAD_LETTER_REASONS } from '../src/model/dead-letter.ts'
import { ERROR_CODES } from '../src/model/errors.ts'
import { configurationPage, dependencyPageFaults, envExample, errorPageFaults } from './docs-pages.ts'

test('every key of the schema stands in the page and in the example', () => {
  const page = configurationPage()
  const example = envExample()
  for (const key of configGroups().flatMap((group) => group.keys)) {
    assert.ok(page.includes(`| \`${key.envName}\` |`), key.envName)
    assert.match(example, new RegExp(`^#${key.envName}=`, 'm'))
  }
})

test('a missing code, a code without its next step and an unknown heading are faults', () => {
  const reasons = DEAD_LETTER_REASONS.map((reason) => `| \`${reason}\` | why |\n`).join('')
  const codes = ERROR_CODES.map((code) => `## ${code}\n\nWhat.\n\nNext step: do.\n`).join('\n')
  const whole = `${codes}\n## Reasons of dead letters\n\n${reasons}`
  assert.deepEqual(errorPageFaults(whole), [])
  assert.deepEqual(errorPageFaults(whole.replace('## SIDEREAL_SID_INVALID', '')), [
    'SIDEREAL_SID_INVALID has no heading',
  ])
  assert.equal(errorPageFaults(whole.replace('Next step: do.', '')).length, 1)
  assert.deepEqual(errorPageFaults(`${whole}\n## SIDEREAL_NEW\n\nNext step: x\n`), [
    'SIDEREAL_NEW is no error code',
  ])
  assert.deepEqual(errorPageFaults(whole.replace('| `refused` |', '| `denied` |')), [
    'refused is not among the reasons of dead letters',
    'denied is no reason of dead letters',
  ])
})

test('a dependency without a reason, and a reason without a dependency, are faults', () => {
  const packageJson = JSON.stringify({ dependencies: { a: '1' }, devDependencies: { '@x/b': '1' } })
  assert.deepEqual(dependencyPageFaults('| `a`, `@x/b` | for `c` |\n', packageJson), [])
  assert.deepEqual(dependencyPageFaults('| `a` | why |\n| `old` | why |\n', packageJson), [
    '@x/b has no reason',
    'old is no dependency',
  ])
})
