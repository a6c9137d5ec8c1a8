import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { PROJECT_ROOT } from '../src/local/local-folders.ts'

interface LockedPackage {
  optionalDependencies?: Record<string, string>
}

// npm drops the builds for other platforms from the lock file when it is run beside a node_modules that lacks them, and its
// "npm ci", which the Dockerfile calls, then refuses the file on every machine.
test('the lock file names the builds for every platform, so that "npm ci" takes it', () => {
  const text = readFileSync(join(PROJECT_ROOT, 'package-lock.json'), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, LockedPackage> }
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    ),
  )
  assert.deepEqual(missing, [], 'npm install --package-lock-only in a folder without node_modules adds them')
})
