#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { isSiderealError } from '../model/errors.ts'

type Register = (program: Command) => void

/** Each command's module is loaded when it is called for, so that one command does not pay for the libraries of another. */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  local: async () => (await import('./local.ts')).registerLocalCommand,
  setup: async () => (await import('./setup.ts')).registerSetupCommand,
  doctor: async () => (await import('./doctor.ts')).registerDoctorCommand,
  worker: async () => (await import('./worker.ts')).registerWorkerCommand,
  trace: async () => (await import('./trace.ts')).registerTraceCommand,
  payload: async () => (await import('./payload.ts')).registerPayloadCommand,
  load: async () => (await import('./load.ts')).registerLoadCommand,
  verify: async () => (await import('./verify.ts')).registerVerifyCommand,
}

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('sidereal')
    .description('Kafka-based streaming trace processor for LLM agents and workflows.')
    .version(packageVersion())
    .option('--config <file>', 'YAML file with settings; SIDEREAL_* variables go before it')
    .option(
      '--env-file <file>',
      'file of variables, such as .sidereal/local.env; variables that are set stay',
    )
    .showHelpAfterError('(sidereal --help lists the commands)')
  const wanted = args.find((argument) => Object.hasOwn(COMMANDS, argument))
  const loaders = wanted === undefined ? Object.values(COMMANDS) : [COMMANDS[wanted]!]
  for (const register of await Promise.all(loaders.map((load) => load()))) register(program)
  await program.parseAsync([...args], { from: 'user' })
}

function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : ''
}

// A reader that has seen enough (`sidereal trace … | head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await main(process.argv.slice(2))
} catch (error) {
  // An error of another kind is a bug in Sidereal: its stack is what a report needs.
  if (isSiderealError(error)) console.error(`sidereal: ${error.code}: ${error.message}`)
  else console.error(error)
  process.exitCode = 1
}
