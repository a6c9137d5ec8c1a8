import { spawn } from 'node:child_process'
import { SiderealError } from '../model/errors.ts'

const OUTPUT_TAIL_CHARS = 2_000

/** Programs that the local stack takes from the machine, each with what to install when it is missing. */
const HINTS: Record<string, string> = {
  java: 'Java 17 or newer (Debian and Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17)',
  mvn: 'Maven (Debian and Ubuntu: apt install maven; macOS: brew install maven)',
  python3: 'Python 3 with pip (Debian and Ubuntu: apt install python3-pip)',
}

/** Runs a program to its end and gives what it printed. A missing program is one clear line, a failure ends with its output. */
export async function runTool(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const collect = (chunk: Buffer) => {
    output += chunk.toString('utf8')
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? missing(command) : error)
    })
    child.once('close', resolve)
  })
  if (code !== 0) {
    throw new SiderealError(
      'SIDEREAL_LOCAL_STACK',
      `"${command} ${args.join(' ')}" ended with code ${code}:\n${output.slice(-OUTPUT_TAIL_CHARS).trimEnd()}`,
    )
  }
  return output
}

/** Checks that a Java of at least version 17 is there. */
export async function requireJava(): Promise<void> {
  const output = await runTool('java', ['-version'])
  const version = Number(/version "(?:1\.)?(\d+)/.exec(output)?.[1])
  if (version < 17) {
    throw new SiderealError(
      'SIDEREAL_LOCAL_STACK',
      `the local stack needs ${HINTS['java']}, found Java ${version}; or use "docker compose up" instead`,
    )
  }
}

function missing(command: string): SiderealError {
  return new SiderealError(
    'SIDEREAL_LOCAL_STACK',
    `"${command}" was not found: install ${HINTS[command] ?? command}, or use "docker compose up" instead`,
  )
}
