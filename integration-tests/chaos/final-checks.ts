import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Canaries } from './canaries.ts'
import type { Poison, PoisonVerdict } from './poison.ts'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const CLEAN = '0 lost · 0 duplicated · 0 altered · 0 truncated · 0 extra'
const CANARIES_MS = 60_000
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024

export interface Verdict {
  /** What `verify` said last, one a ledger. */
  readonly verified: readonly string[]
  readonly poison: PoisonVerdict
  readonly canaries: { readonly seen: number; readonly missing: readonly string[] }
  readonly problems: readonly string[]
}

export interface FinalCheckOptions {
  readonly env: Readonly<Record<string, string>>
  readonly ledgers: readonly string[]
  readonly poison: Poison
  readonly canaries: Canaries
  readonly brokers: readonly string[]
  readonly deadLetterTopic: string
  readonly say: (line: string) => void
}

/** After the faults: is everything that was acknowledged there, once, as it was sent, and are the dead letters the poison? */
export async function checkAll(options: FinalCheckOptions): Promise<Verdict> {
  const { env, ledgers, poison, canaries, brokers, deadLetterTopic, say } = options
  const problems: string[] = []
  for (const deadline = performance.now() + CANARIES_MS; canaries.pending > 0; await sleep(500))
    if (performance.now() > deadline) break
  canaries.stop()
  const { missing } = canaries
  if (missing.length > 0) problems.push(`${missing.length} canaries were lost: ${missing.slice(0, 5)}`)
  const verified: string[] = []
  for (const ledger of ledgers) {
    say(`verify ${ledger}`)
    const { code, output } = await verify(env, ledger)
    const last = output.trimEnd().split('\n').at(-1) ?? ''
    verified.push(last)
    if (code !== 0 || last !== CLEAN) problems.push(`verify of ${ledger} ended with code ${code}:\n${output}`)
  }
  const verdict = await poison.verify(brokers, deadLetterTopic)
  problems.push(...verdict.problems)
  return {
    verified,
    poison: verdict,
    canaries: { seen: canaries.delays.length, missing },
    problems,
  }
}

function verify(
  env: Readonly<Record<string, string>>,
  ledger: string,
): Promise<{ code: number; output: string }> {
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('SIDEREAL_'))
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [CLI, 'verify', '--timeout', '300', '--ledger', ledger],
      { env: { ...Object.fromEntries(inherited), ...env }, maxBuffer: MAX_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, output: code === 0 ? stdout : stdout + stderr })
      },
    )
  })
}
