import type { Command } from 'commander'
import { wholeNumber } from './numbers.ts'

interface DemoFlags {
  requests: number
  keep: boolean
}

/** Adds `sidereal demo`: the main job from end to end on this machine. From a clone only: it starts the local stack. */
export function registerDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('Run the main job once on real local servers, and verify it (from a clone).')
    .option('--requests <n>', 'requests to send', wholeNumber(1), 200)
    .option('--keep', 'leave everything running until Ctrl-C', false)
    .action(async (flags: DemoFlags) => {
      const { runDemo } = await import('../local/demo/demo.ts')
      const stop = new AbortController()
      const onSignal = () => stop.abort()
      process.on('SIGINT', onSignal)
      process.on('SIGTERM', onSignal)
      try {
        const isClean = await runDemo({
          requests: flags.requests,
          isKept: flags.keep,
          signal: stop.signal,
          print: (text) => console.log(text),
        })
        process.exitCode = isClean ? 0 : 1
      } catch (error) {
        // Ended by the user: everything has been stopped, and there is nothing to report.
        if (!stop.signal.aborted) throw error
        process.exitCode = 130
      } finally {
        process.off('SIGINT', onSignal)
        process.off('SIGTERM', onSignal)
      }
    })
}
