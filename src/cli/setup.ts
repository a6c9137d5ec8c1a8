import type { Command } from 'commander'
import { configOf } from './context.ts'

/** Adds `sidereal setup [--check]`: topics, schemas, tables, bucket. */
export function registerSetupCommand(program: Command): void {
  program
    .command('setup')
    .description('Make topics, schemas, tables and bucket, or mend them; safe to repeat.')
    .option('--check', 'change nothing; the exit code is 1 if something is missing or wrong')
    .action(async (flags: { check?: true }, command: Command) => {
      const config = configOf(command)
      const { serverChecks } = await import('../audit/server-checks.ts')
      const { faultOf, formatFinding } = await import('../audit/finding.ts')
      const { serverCheckOptions } = await import('./server-options.ts')
      let faults = 0
      for (const check of serverChecks(serverCheckOptions(config, 30_000))) {
        const findings = await check
          .run(flags.check === true ? 'check' : 'apply')
          .catch((error: unknown) => [faultOf(check.subject, error)])
        for (const finding of findings) console.log(formatFinding(finding))
        faults += findings.filter(({ state }) => state === 'fault').length
      }
      process.exitCode = faults === 0 ? 0 : 1
    })
}
