import { type Command, InvalidArgumentError } from 'commander'
import { bringUp, takeDown } from '../local/local-stack.ts'
import { ENV_FILE, isUp, readLocalState, serverEntries } from '../local/local-state.ts'
import type { ServerName } from '../local/stack.ts'

interface UpFlags {
  brokers?: 1 | 3
  fresh?: true
  kafkaPort?: number
  registryPort?: number
  clickhousePort?: number
  s3Port?: number
}

/** Adds `sidereal local up|down|status`: Kafka, ClickHouse, S3 and a schema registry on this machine, without Docker. */
export function registerLocalCommand(program: Command): void {
  const local = program
    .command('local')
    .description(
      'Kafka, ClickHouse, S3 and a schema registry on this machine, without Docker (from a clone only).',
    )
  local
    .command('up')
    .description(`Start what is not running, and write the addresses to ${ENV_FILE}.`)
    .option('--brokers <count>', 'Kafka brokers: 1 or 3', readBrokers)
    .option('--fresh', 'start with empty servers')
    .option(
      '--kafka-port <port>',
      'port of the first broker (default: that of last time, else a free one)',
      readPort,
    )
    .option('--registry-port <port>', 'port of the schema registry', readPort)
    .option('--clickhouse-port <port>', 'HTTP port of ClickHouse', readPort)
    .option('--s3-port <port>', 'port of the S3 endpoint', readPort)
    .action(up)
  local.command('down').description('Stop what "local up" started. Data stays.').action(down)
  local
    .command('status')
    .description('Say what is up; the exit code is 1 unless everything is.')
    .action(status)
}

async function up(flags: UpFlags): Promise<void> {
  const ports: Partial<Record<ServerName, number>> = {}
  if (flags.kafkaPort !== undefined) ports.kafka = flags.kafkaPort
  if (flags.registryPort !== undefined) ports.registry = flags.registryPort
  if (flags.clickhousePort !== undefined) ports.clickhouse = flags.clickhousePort
  if (flags.s3Port !== undefined) ports.seaweedfs = flags.s3Port
  const state = await bringUp({
    ...(flags.brokers === undefined ? {} : { brokers: flags.brokers }),
    fresh: flags.fresh === true,
    ports,
    onProgress: (line) => console.error(line),
  })
  for (const [key, value] of Object.entries(state.env)) console.log(`${key}=${value}`)
  console.error(`The servers are up. Use them by: sidereal --env-from ${ENV_FILE} <command>`)
}

async function down(): Promise<void> {
  const stopped = await takeDown((line) => console.error(line))
  if (stopped.length === 0) console.error('nothing was up')
}

function status(): void {
  const state = readLocalState()
  const entries = state === undefined ? [] : serverEntries(state)
  for (const [name, server] of entries) {
    const pids = server.processes.map(({ pid }) => pid).join(', ')
    const verdict = isUp(server)
      ? 'up'
      : server.processes.length === 0
        ? 'down'
        : 'down (it has ended by itself)'
    console.log(
      `${name.padEnd(11)}${verdict.padEnd(6)}${isUp(server) ? `${server.address}  pid ${pids}` : ''}`.trimEnd(),
    )
  }
  if (entries.length === 0) console.log('nothing is up')
  if (entries.length === 0 || entries.some(([, server]) => !isUp(server))) process.exitCode = 1
}

function readPort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('a port is a number from 1 to 65535')
  return port
}

function readBrokers(text: string): 1 | 3 {
  if (text === '1') return 1
  if (text === '3') return 3
  throw new InvalidArgumentError('1 or 3')
}
