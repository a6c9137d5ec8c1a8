import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configurationPage, dependencyPageFaults, envExample, errorPageFaults } from './docs-pages.ts'

// npm run docs: writes the pages that are made from code. npm run check:docs (--check): fails when one is stale.
const root = fileURLToPath(new URL('../', import.meta.url))
const isCheck = process.argv.includes('--check')
const faults: string[] = []

for (const [path, text] of [
  ['docs/configuration.md', configurationPage()],
  ['.env.example', envExample()],
] as const) {
  if (readOrEmpty(path) === text) continue
  if (isCheck) faults.push(`${path} is stale: run "npm run docs"`)
  else {
    writeFileSync(root + path, text)
    console.log(`${path} written`)
  }
}
faults.push(...errorPageFaults(readOrEmpty('docs/errors.md')).map((fault) => `docs/errors.md: ${fault}`))
faults.push(
  ...dependencyPageFaults(readOrEmpty('docs/dependencies.md'), readOrEmpty('package.json')).map(
    (fault) => `docs/dependencies.md: ${fault}`,
  ),
)

for (const fault of faults) console.error(fault)
console.log(faults.length === 0 ? 'the generated docs are fresh' : `${faults.length} fault(s) in the docs`)
process.exitCode = faults.length === 0 ? 0 : 1

function readOrEmpty(path: string): string {
  try {
    return readFileSync(root + path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
