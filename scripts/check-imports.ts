import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findBreaches } from './import-rules.ts'

// npm run check:imports: who may import whom.
const root = fileURLToPath(new URL('../', import.meta.url))
const paths = globSync(['src/**/*.ts', 'integration-tests/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts'], {
  cwd: root,
})
  .map((path) => path.replaceAll('\\', '/'))
  .sort()
const breaches = findBreaches(paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })))
for (const breach of breaches) console.error(breach)
console.log(`${paths.length} files, ${breaches.length} breaches of the import rules`)
process.exitCode = breaches.length === 0 ? 0 : 1
