import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

type Environment = Readonly<Record<string, string>>

/** Runs one command of the CLI to its end. */
export async function runCli(args: readonly string[], env: Environment): Promise<void> {
  const child = spawnCli(args, env, [], 'inherit')
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`sidereal ${args.join(' ')} ended with code ${code}`)
}

/** Starts a worker in a process of its own; its log goes to `logFile`. */
export function startWorker(env: Environment, log: number, nodeArgs: readonly string[]): ChildProcess {
  return spawnCli(['worker'], env, nodeArgs, log)
}

function spawnCli(
  args: readonly string[],
  env: Environment,
  nodeArgs: readonly string[],
  output: 'inherit' | number,
): ChildProcess {
  // Standard output belongs to the figures.
  const stdout = output === 'inherit' ? 2 : output
  return spawn(process.execPath, [...nodeArgs, CLI, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', stdout, stdout === 2 ? 'inherit' : stdout],
  })
}
