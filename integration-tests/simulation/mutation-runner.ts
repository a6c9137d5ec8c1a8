import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../../src/local/local-folders.ts'
import type { Failed } from './campaign.ts'
import { MUTATIONS } from './mutation-list.ts'
import type { Edit, Mutation } from './mutations/mutation.ts'

export interface MutationOptions {
  readonly firstSeed: number
  /** Seeds to try for each. */
  readonly runs: number
  /** Part of the name of the mutations to try; undefined = all. */
  readonly only: string | undefined
  /** Mutants that run side by side, each in a process of its own. */
  readonly jobs: number
  readonly print: (line: string) => void
}

/** What the simulator needs to run from another folder. */
const COPIED = ['src', 'schemas', 'package.json', 'integration-tests/simulation']

/** Takes each rule out of a copy of the sources in turn, and looks which seed sees it. Resolves to true when every mutation is caught. */
export async function runMutations(options: MutationOptions): Promise<boolean> {
  const { only, print } = options
  const chosen = MUTATIONS.filter(({ name }) => only === undefined || name.includes(only))
  let missed = 0
  print('| rule taken out | seed | what is seen |')
  print('|---|---|---|')
  const left = [...chosen]
  const tryOneAfterTheOther = async (): Promise<void> => {
    for (let mutation = left.shift(); mutation !== undefined; mutation = left.shift()) {
      const failed = await tryMutation(mutation, options)
      if (failed === null) missed += 1
      const seen = failed?.violation.slice(0, 160) ?? ''
      print(`| ${mutation.name} | ${failed?.seed ?? `none of ${options.runs}`} | ${seen} |`)
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, tryOneAfterTheOther))
  print(`${chosen.length - missed} of ${chosen.length} mutations were caught`)
  return chosen.length > 0 && missed === 0
}

async function tryMutation(mutation: Mutation, { firstSeed, runs }: MutationOptions): Promise<Failed | null> {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-mutation-'))
  try {
    for (const path of COPIED) cpSync(join(PROJECT_ROOT, path), join(folder, path), { recursive: true })
    symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(folder, 'node_modules'))
    for (const edit of mutation.edits) apply(folder, mutation, edit)
    const script = join(folder, 'integration-tests/simulation/simulate.ts')
    const args = [script, '--brief', '--seed', String(firstSeed), '--runs', String(Math.max(2, runs))]
    const { code, output } = await run(args)
    const line = output.trim().split('\n').at(-1) ?? ''
    if (!line.startsWith('{')) {
      // The mutant did not survive its own start, or ended the process: that is seen, too.
      return { seed: firstSeed, violation: `the process ended with code ${code}: ${line}` }
    }
    return (JSON.parse(line) as { failed: Failed | null }).failed
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A mutation that no longer fits the sources is an error: else it would be "not caught", or worse, caught for another reason. */
function apply(folder: string, { name }: Mutation, { file, find, replace }: Edit): void {
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  const times = timesIn(text, find)
  if (times !== 1)
    throw new Error(`the mutation "${name}" fits ${times} times into ${file}; it must fit once`)
  writeFileSync(
    path,
    text.replace(find, () => replace),
  )
}

/** Mutations that do not fit the sources any more, each with the file. */
export function misfits(): string[] {
  return MUTATIONS.flatMap(({ name, edits }) =>
    edits
      .filter(({ file, find }) => timesIn(readFileSync(join(PROJECT_ROOT, file), 'utf8'), find) !== 1)
      .map(({ file }) => `${name}: ${file}`),
  )
}

function timesIn(text: string, find: string): number {
  return text.split(find).length - 1
}

function run(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    child.once('error', reject)
    child.once('close', (code) => {
      const error = errors.split('\n').find((line) => line.includes('Error'))
      resolve({ code, output: output === '' ? (error ?? 'no output') : output })
    })
  })
}
