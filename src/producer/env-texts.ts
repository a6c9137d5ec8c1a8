/** Environment variables, as the producer reads them: an empty one counts as unset. */
export type Env = Readonly<Record<string, string | undefined>>

export function textOf(env: Env, name: string): string | undefined {
  return env[name]?.trim() || undefined
}

/** The first of these names that is set. */
export function firstSet(env: Env, names: readonly string[]): string | undefined {
  return names.find((name) => textOf(env, name) !== undefined)
}

const TRUE_WORDS: readonly string[] = ['true', '1', 'yes', 'on']
const FALSE_WORDS: readonly string[] = ['false', '0', 'no', 'off']

/** The source's words for true (`OTLP_ENABLE`), which include OpenTelemetry's. */
export function isTrue(env: Env, name: string): boolean {
  return TRUE_WORDS.includes(textOf(env, name)?.toLowerCase() ?? '')
}

/** False when it is not set. A word that is neither true nor false is told, and counts as `otherwise`: of two, what does less harm. */
export function booleanOf(env: Env, name: string, problems: string[], otherwise: boolean): boolean {
  const text = textOf(env, name)?.toLowerCase()
  if (text === undefined || FALSE_WORDS.includes(text)) return false
  if (TRUE_WORDS.includes(text)) return true
  problems.push(`${name} is neither true nor false: ${otherwise} is used`)
  return otherwise
}

export const isWholeNumber = (text: string): boolean => /^\d{1,15}$/.test(text)

/** Of names of one setting, the one that counts first: which of them say something else than that. */
export function contradictions(env: Env, names: readonly string[], isUsable = (_: string) => true): string[] {
  const set = names.filter((name) => isUsable(textOf(env, name) ?? '') && textOf(env, name) !== undefined)
  const different = set.slice(1).filter((name) => textOf(env, name) !== textOf(env, set[0]!))
  return different.map((name) => `${set[0]} and ${name} differ: ${set[0]} counts`)
}

/** As {@link contradictions}, of numbers: one that is none is left out, and the next counts. */
export function numberContradictions(env: Env, names: readonly string[]): string[] {
  return contradictions(env, names, isWholeNumber)
}

/** The value of the first name that has a usable one. */
export function wholeNumber(env: Env, names: readonly string[], problems: string[]): number | undefined {
  for (const name of names) {
    const text = textOf(env, name)
    if (text === undefined) continue
    if (isWholeNumber(text)) return Number(text)
    problems.push(`${name} is not a whole number: it is left out`)
  }
  return undefined
}

/** Items between commas. */
export function listOf(env: Env, name: string): string[] {
  const items = (textOf(env, name) ?? '').split(',').map((item) => item.trim())
  return items.filter((item) => item !== '')
}
