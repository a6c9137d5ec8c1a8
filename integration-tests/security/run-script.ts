import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Env } from './secure-servers.ts'

export interface ScriptResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script of this folder with Node to its end. */
export async function runScript(name: string, args: readonly string[], env: Env): Promise<ScriptResult> {
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('SIDEREAL_'))
  const child = spawn(process.execPath, [fileURLToPath(new URL(name, import.meta.url)), ...args], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  await once(child, 'close')
  return { code: child.exitCode, ...output }
}
