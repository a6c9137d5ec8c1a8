import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

type Environment = Readonly<Record<string, string>>

const PROGRAM = fileURLToPath(new URL(`../../cli/main${extname(import.meta.url)}`, import.meta.url))

/** Starts a command of Sidereal as a user would, in a process of its own. */
export function spawnCli(
  args: readonly string[],
  env: Environment,
  output: 'pipe' | 'inherit' | number,
  nodeArgs: readonly string[] = [],
  script = PROGRAM,
): ChildProcess {
  return spawn(process.execPath, [...nodeArgs, script, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output === 'pipe' ? 'inherit' : output],
  })
}

export interface CliResult {
  readonly code: number | null
  /** Standard output. */
  readonly output: Buffer
}

/** Runs a command to its end and keeps what it printed. */
export async function runCli(
  args: readonly string[],
  env: Environment,
  signal: AbortSignal,
): Promise<CliResult> {
  const child = spawnCli(args, env, 'pipe')
  const onAbort = () => child.kill('SIGTERM')
  signal.addEventListener('abort', onAbort, { once: true })
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    signal.throwIfAborted()
    return { code, output: Buffer.concat(chunks) }
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
