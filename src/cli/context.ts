import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { Command } from 'commander'
import { type Config, loadConfig } from '../config/config.ts'
import { SiderealError } from '../model/errors.ts'

/** Options that stand before the command and hold for each of them. */
interface GlobalOptions {
  config?: string
  envFrom?: string
}

/**
 * The configuration of a command: `flags`, which are options of the command under the names of their keys, below them `SIDEREAL_*` variables, below
 * them those of `--env-from`, below them the YAML file of `--config`. It is checked as a whole, when all of them are in place.
 * Call it inside the action, so that `--help` needs no configuration.
 */
export function configOf(
  command: Command,
  flags: Readonly<Record<`SIDEREAL_${string}`, string | undefined>> = {},
): Config {
  const { config, envFrom } = command.optsWithGlobals<GlobalOptions>()
  const env = { ...environmentOf(envFrom) }
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue
    if (value.trim() === '') {
      throw new SiderealError(
        'SIDEREAL_CONFIG_INVALID',
        `The option for ${name} is empty. Leave it out, or give it a value.`,
      )
    }
    env[name] = value
  }
  return loadConfig(env, config)
}

function environmentOf(envFrom: string | undefined): NodeJS.ProcessEnv {
  if (envFrom === undefined) return process.env
  let text: string
  try {
    text = readFileSync(envFrom, 'utf8')
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `The file of --env-from, ${envFrom}, cannot be read. Check its path; "sidereal local up" writes .sidereal/local.env.`,
      { cause },
    )
  }
  // The AWS SDK reads the process's own environment. As in `node --env-file`, what is set already stays.
  for (const [name, value] of Object.entries(parseEnv(text))) process.env[name] ??= value
  return process.env
}
