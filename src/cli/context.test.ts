import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import { isSiderealError } from '../model/errors.ts'
import { configOf } from './context.ts'

/** A command with `--env-from` that sets these keys, as `sidereal --env-from … worker` has it. */
function withEnvFile(lines: string, use: (command: Command) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-cli-'))
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) if (name.startsWith('SIDEREAL_')) delete process.env[name]
  try {
    const file = join(folder, 'test.env')
    writeFileSync(file, lines)
    use(new Command().option('--env-from <path>').parse(['--env-from', file], { from: 'user' }))
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
    Object.assign(process.env, before)
    rmSync(folder, { recursive: true })
  }
}

test('what a flag says goes before the environment, also when the settings are checked against one another', () => {
  withEnvFile('SIDEREAL_SINKS=clickhouse,otlp\nSIDEREAL_GROUP=main\n', (command) => {
    assert.throws(() => configOf(command), /SIDEREAL_OTLP_ENDPOINT/)
    const config = configOf(command, { SIDEREAL_SINKS: 'clickhouse' })
    assert.deepEqual(config.worker.sinks, [{ name: 'clickhouse', mode: 'required' }])
    assert.equal(config.worker.group, 'main')
  })
  withEnvFile('SIDEREAL_SINKS=clickhouse\n', (command) => {
    assert.throws(
      () => configOf(command, { SIDEREAL_SINKS: 'otlp' }),
      (error) =>
        isSiderealError(error, 'SIDEREAL_CONFIG_INVALID') && /SIDEREAL_OTLP_ENDPOINT/.test(error.message),
    )
    assert.equal(
      configOf(command, { SIDEREAL_SINKS: undefined, SIDEREAL_GROUP: 'other' }).worker.group,
      'other',
    )
  })
})

test('an empty flag is a mistake: the setting below it would be taken without a word', () => {
  withEnvFile('SIDEREAL_GROUP=main\n', (command) => {
    assert.throws(
      () => configOf(command, { SIDEREAL_GROUP: ' ' }),
      (error) => isSiderealError(error, 'SIDEREAL_CONFIG_INVALID') && /SIDEREAL_GROUP/.test(error.message),
    )
  })
})
