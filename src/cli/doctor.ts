import type { Command } from 'commander'
import type { Finding } from '../audit/finding.ts'
import { configOf } from './context.ts'
import { endProcess } from './end-process.ts'
import { nodeProblem } from './node-version.ts'

const ANSWER_MS = 5_000
/** Two rounds of these, which stay below the 15 s that a doctor may take, also where its code alone takes three of them to load. */
const CHECK_MS = 10_500

/** Adds `sidereal doctor`: says which server does not answer or is not set up, where it is, and what to try. */
export function registerDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('Check every server that the configuration names; the exit code is 1 if one is at fault.')
    .option('--show-config', 'print the settings too, without secrets')
    .action(async (flags: { showConfig?: true }, command: Command) => {
      const config = configOf(command)
      const { describeConfig } = await import('../config/config.ts')
      const { formatFinding, withDeadline } = await import('../audit/finding.ts')
      const { otlpCheck, serverChecks } = await import('../audit/server-checks.ts')
      const { serverCheckOptions } = await import('./server-options.ts')
      if (flags.showConfig === true) {
        for (const [name, value] of Object.entries(describeConfig(config))) console.log(`${name}=${value}`)
      }
      const checks = serverChecks(serverCheckOptions(config, ANSWER_MS))
      const { endpoint } = config.otlp
      if (endpoint !== undefined) checks.push(otlpCheck(endpoint, ANSWER_MS))
      const answers = checks.map(({ subject, advice, run }) =>
        withDeadline(subject, CHECK_MS, advice, () => run('check')),
      )
      let faults = 0
      for (const answer of [Promise.resolve([nodeFinding()]), ...answers]) {
        for (const finding of await answer) {
          console.log(formatFinding(finding))
          if (finding.state === 'fault') faults += 1
        }
      }
      console.log(
        faults === 0 ? 'All is well.' : `${faults} fault(s). docs/errors.md says more about each code.`,
      )
      // A client that still waits for a dead server must not hold the process.
      endProcess(faults === 0 ? 0 : 1)
    })
}

function nodeFinding(): Finding {
  const { node } = process.versions
  const problem = nodeProblem(node)
  return problem === undefined
    ? { state: 'ok', subject: `Node.js ${node}`, detail: 'new enough' }
    : { state: 'fault', subject: 'Node.js', detail: problem }
}
