import { z } from 'zod'
import { CONFIG_FILE_KEY, type ConfigKey, configGroups } from '../src/config/config.ts'
import { DEAD_LETTER_REASONS } from '../src/model/dead-letter.ts'
import { ERROR_CODES } from '../src/model/errors.ts'

const INTRODUCTION = `# Configuration

<!-- Made by "npm run docs" from src/config/schema.ts. Do not edit. -->

Settings come from environment variables and, below them, from an optional YAML file (\`--config <file>\` or \`${CONFIG_FILE_KEY}\`). In the file the
names are those of the variables in lower case and without the prefix; nested maps join their names with \`_\`, so that these are the same:

\`\`\`yaml
kafka_brokers: broker-1:9092,broker-2:9092
kafka:
  brokers: [broker-1:9092, broker-2:9092]
\`\`\`

An unknown \`SIDEREAL_*\` variable is an error that names the nearest key; \`SIDEREAL_PRODUCER_*\` are left to the client in services
([producer-delivery.md](producer-delivery.md#settings), [producer.md](producer.md#who-may-name-an-identity)). An empty variable counts as unset. Sizes take a unit (\`5KB\`, \`400MB\`;
1 KB = 1024 bytes), durations are milliseconds or take one (\`10000\`, \`10s\`, \`15m\`). Secrets are never printed. Credentials and region of S3 come
from the standard \`AWS_*\` variables. \`sidereal --env-from <file>\` reads variables from a file; what is set already stays.
`

/** docs/configuration.md */
export function configurationPage(): string {
  const groups = configGroups().map(({ heading, about, keys }) => {
    const rows = keys.map((key) => `| \`${key.envName}\` | ${defaultCell(key)} | ${cell(key.description)} |`)
    return [`## ${heading}`, '', about, '', '| key | default | meaning |', '|---|---|---|', ...rows].join(
      '\n',
    )
  })
  return `${[INTRODUCTION, ...groups]
    .join('\n')
    .replaceAll('\n## ', '\n\n## ')
    .replaceAll(/\n{3,}/g, '\n\n')}\n`
}

/** .env.example */
export function envExample(): string {
  const lines = [
    '# Every key of Sidereal with its default. Made by "npm run docs"; docs/configuration.md says more.',
  ]
  for (const { heading, keys } of configGroups()) {
    lines.push('', `# ${heading}`)
    for (const key of keys)
      lines.push(`# ${key.description.replaceAll('`', '')}`, `#${key.envName}=${key.defaultText ?? ''}`)
  }
  return `${lines.join('\n')}\n`
}

const REASONS_HEADING = 'Reasons of dead letters'

/**
 * What is wrong with docs/errors.md: each code has a heading, below it a text and a line that begins with "Next step:"; no other code has.
 * The table of reasons of dead letters names each of them, and no other.
 */
export function errorPageFaults(page: string): string[] {
  const sections = new Map<string, string>()
  for (const section of page.split(/^## /m).slice(1)) {
    const [heading = '', ...rest] = section.split('\n')
    sections.set(heading.trim(), rest.join('\n'))
  }
  const faults: string[] = []
  for (const code of ERROR_CODES) {
    const text = sections.get(code)
    if (text === undefined) faults.push(`${code} has no heading`)
    else if (!/^Next step: \S/m.test(text)) faults.push(`${code} has no line that begins with "Next step:"`)
  }
  const listed = [...(sections.get(REASONS_HEADING) ?? '').matchAll(/^\| `([a-z_]+)` \|/gm)].map(
    ([, reason]) => reason,
  )
  for (const reason of DEAD_LETTER_REASONS) {
    if (!listed.includes(reason)) faults.push(`${reason} is not among the reasons of dead letters`)
  }
  for (const reason of listed) {
    if (!DEAD_LETTER_REASONS.some((one) => one === reason))
      faults.push(`${reason} is no reason of dead letters`)
  }
  for (const heading of sections.keys()) {
    if (heading === REASONS_HEADING) continue
    if (!ERROR_CODES.some((code) => code === heading)) faults.push(`${heading} is no error code`)
  }
  return faults
}

/** What is wrong with docs/dependencies.md: every dependency has its reason there, and nothing else has. */
export function dependencyPageFaults(page: string, packageJson: string): string[] {
  const { dependencies, devDependencies } = packageSchema.parse(JSON.parse(packageJson))
  const wanted = new Set([...Object.keys(dependencies), ...Object.keys(devDependencies)])
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const listed = new Set(
    rows.flatMap((row) =>
      [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''),
    ),
  )
  const missing = [...wanted].filter((name) => !listed.has(name)).map((name) => `${name} has no reason`)
  const stale = [...listed].filter((name) => !wanted.has(name)).map((name) => `${name} is no dependency`)
  return [...missing, ...stale]
}

const packageSchema = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
})

function defaultCell({ defaultText, isSecret }: ConfigKey): string {
  if (defaultText !== undefined) return `\`${cell(defaultText)}\``
  return isSecret ? 'unset (secret)' : 'unset'
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
