/** Environment variables, as the producer reads them: an empty one counts as unset. */
export type Env = Readonly<Record<string, string | undefined>>

export function textOf(env: Env, name: string): string | undefined {
  return env[name]?.trim() || undefined
}

const isAnything = (_text: string): boolean => true

function setOf(env: Env, names: readonly string[], isUsable: (text: string) => boolean): string[] {
  return names.filter((name) => {
    const text = textOf(env, name)
    return text !== undefined && isUsable(text)
  })
}

/** The first of these names that is set, to something usable. */
export function firstSet(env: Env, names: readonly string[], isUsable = isAnything): string | undefined {
  return setOf(env, names, isUsable)[0]
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

/** Of names of one setting, the one that counts first: which of them say something else than that. What is not usable does not count. */
export function contradictions(env: Env, names: readonly string[], isUsable = isAnything): string[] {
  const [first, ...others] = setOf(env, names, isUsable)
  const different = others.filter((name) => textOf(env, name) !== textOf(env, first!))
  return different.map((name) => `${first} and ${name} differ: ${first} counts`)
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
