import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
let built: string | undefined

/** The program as it is published, built from the sources at hand. Run from these, each start would also pay for stripping types: 0.1 s of CPU and 10 MB. */
export function builtProgram(): string {
  if (built !== undefined) return built
  const { status, error } = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0)
    throw new Error(`the program cannot be built: npm run build ended with code ${status}`, { cause: error })
  built = `${ROOT}dist/cli/main.js`
  return built
}
