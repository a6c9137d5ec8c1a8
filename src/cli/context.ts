import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { Command } from 'commander'
import { type Config, loadConfig } from '../config/config.ts'
import { SiderealError } from '../model/errors.ts'

/** Options that stand before the command and hold for each of them. */
interface GlobalOptions {
  config?: string
  envFile?: string
}

/**
 * The configuration of a command: `SIDEREAL_*` variables, below them those of `--env-file`, below them the YAML file of `--config`.
 * Call it inside the action, so that `--help` needs no configuration.
 */
export function configOf(command: Command): Config {
  const { config, envFile } = command.optsWithGlobals<GlobalOptions>()
  return loadConfig(environmentOf(envFile), config)
}

function environmentOf(envFile: string | undefined): NodeJS.ProcessEnv {
  if (envFile === undefined) return process.env
  let text: string
  try {
    text = readFileSync(envFile, 'utf8')
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `The file of --env-file, ${envFile}, cannot be read. Check its path; "sidereal local up" writes .sidereal/local.env.`,
      { cause },
    )
  }
  // The AWS SDK reads the process's own environment. As in `node --env-file`, what is set already stays.
  for (const [name, value] of Object.entries(parseEnv(text))) process.env[name] ??= value
  return process.env
}
