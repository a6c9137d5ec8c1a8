import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { systemClock } from '../model/clock.ts'
import { isSiderealError } from '../model/errors.ts'
import { createLogger } from '../telemetry/logger.ts'
import { configOf } from './context.ts'
import { endProcess } from './end-process.ts'

interface WorkerFlags {
  group?: string
  sinks?: string
}

/** Adds `sidereal worker`: assembles traces and brings them to the sinks until it is told to stop. */
export function registerWorkerCommand(program: Command): void {
  program
    .command('worker')
    .description('Assemble traces from Kafka and bring them to the sinks, until SIGTERM or SIGINT.')
    .option('--group <name>', 'consumer group (default: SIDEREAL_GROUP)')
    .option('--sinks <list>', 'destinations, as in SIDEREAL_SINKS')
    .action(async (flags: WorkerFlags, command: Command) => {
      await runWorker(configOf(command, { SIDEREAL_GROUP: flags.group, SIDEREAL_SINKS: flags.sinks }))
    })
}

async function runWorker(config: Config): Promise<void> {
  const logger = createLogger({ level: config.log.level, base: { role: 'worker' } })
  // The worker's own timers do not keep a process alive; a running worker does.
  const keepAlive = setInterval(() => undefined, 60_000)
  let isStopping = false
  const stopped = Promise.withResolvers<void>()
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      logger.warn({ signal }, 'second signal: leaving at once')
      endProcess(1)
    }
    isStopping = true
    logger.info({ signal }, 'stopping')
    stopped.resolve()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  try {
    // Not before: a process that starts again should not load everything twice.
    const { Worker } = await import('../worker/worker.ts')
    const worker = await Worker.open(config, { logger, clock: systemClock, random: Math.random })
    await Promise.race([worker.start().then(() => stopped.promise), stopped.promise, worker.failed])
    await worker.stop()
  } catch (error) {
    // Not by a throw: what is still connected would keep the process alive.
    if (isSiderealError(error)) console.error(`sidereal: ${error.code}: ${error.message}`)
    else console.error(error)
    endProcess(1)
  } finally {
    clearInterval(keepAlive)
  }
  // Sockets of a client that did not close in time must not hold the process.
  endProcess(0)
}
