import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { isSiderealError } from '../model/errors.ts'
import { endProcess } from './end-process.ts'
import { limitRuntimeMemory } from './node-flags.ts'

type Register = (program: Command) => void

interface CommandEntry {
  readonly summary: string
  readonly load: () => Promise<Register>
}

/** Each command's module is loaded when it is called for, so that one command does not pay for the libraries of another. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  local: {
    summary:
      'Kafka, ClickHouse, S3 and a schema registry on this machine, without Docker (from a clone only)',
    load: async () => (await import('./local.ts')).registerLocalCommand,
  },
  demo: {
    summary: 'run the main job on real local servers, and verify it (from a clone only)',
    load: async () => (await import('./demo.ts')).registerDemoCommand,
  },
  setup: {
    summary: 'make topics, schemas, tables and bucket, or mend them',
    load: async () => (await import('./setup.ts')).registerSetupCommand,
  },
  doctor: {
    summary: 'check every server that the configuration names',
    load: async () => (await import('./doctor.ts')).registerDoctorCommand,
  },
  worker: {
    summary: 'assemble traces from Kafka and bring them to the sinks',
    load: async () => {
      // It may start this process again, so before anything else is loaded.
      limitRuntimeMemory()
      return (await import('./worker.ts')).registerWorkerCommand
    },
  },
  trace: {
    summary: 'show a trace as a tree, with what is missing',
    load: async () => (await import('./trace.ts')).registerTraceCommand,
  },
  'dead-letters': {
    summary: 'list records that could not be processed, look at one, send them through again',
    load: async () => (await import('./dead-letters.ts')).registerDeadLettersCommand,
  },
  payload: {
    summary: 'read a value that was moved to object storage',
    load: async () => (await import('./payload.ts')).registerPayloadCommand,
  },
  load: {
    summary: 'send generated traces and keep a ledger of them',
    load: async () => (await import('./load.ts')).registerLoadCommand,
  },
  verify: {
    summary: 'compare the tables with a ledger of what was sent',
    load: async () => (await import('./verify.ts')).registerVerifyCommand,
  },
}

async function run(args: readonly string[]): Promise<void> {
  const program = new Command('sidereal')
    .description('Kafka-based streaming trace processor for LLM agents and workflows.')
    .version(packageVersion())
    .option('--config <file>', 'YAML file with settings; SIDEREAL_* variables go before it')
    .option(
      '--env-from <file>',
      'file of variables, such as .sidereal/local.env; variables that are set stay',
    )
    .showHelpAfterError('(sidereal --help lists the commands)')
  const wanted = args.find((argument) => Object.hasOwn(COMMANDS, argument))
  if (wanted !== undefined) (await COMMANDS[wanted]!.load())(program)
  else for (const [name, { summary }] of Object.entries(COMMANDS)) program.command(name).description(summary)
  await program.parseAsync([...args], { from: 'user' })
}

function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : ''
}

/** Runs the command that the arguments name; ends the process with 1 when it fails. */
export async function runProgram(args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`sidereal trace … | head`) is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') endProcess(0)
    throw error
  })
  try {
    await run(args)
  } catch (error) {
    // An error of another kind is a bug in Sidereal: its stack is what a report needs.
    if (isSiderealError(error)) console.error(`sidereal: ${error.code}: ${error.message}`)
    else console.error(error)
    // Not by the exit code alone: a connection that is still being tried would keep the process alive for minutes.
    endProcess(1)
  }
}
