import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../config/values.ts'

/** Parser of an option that takes a whole number from `lowest` to `highest`. */
export function wholeNumber(lowest: number, highest: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value) || value < lowest || value > highest) {
      throw new InvalidArgumentError(
        `It must be a whole number from ${lowest}${highest < Number.MAX_SAFE_INTEGER ? ` to ${highest}` : ''}.`,
      )
    }
    return value
  }
}

/** Parser of an option that takes a share: 0 to 1. */
export function share(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('It must be a number from 0 to 1.')
  return value
}

/** Parser of an option that takes one whole number, or a first and a last one: `12`, `10-20`. */
export function range(text: string): { first: number; last: number } {
  const match = /^(\d{1,16})(?:-(\d{1,16}))?$/.exec(text)
  const first = Number(match?.[1] ?? Number.NaN)
  const last = Number(match?.[2] ?? match?.[1] ?? Number.NaN)
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last < first) {
    throw new InvalidArgumentError('It must be a whole number, or two with "-" between them, such as 10-20.')
  }
  return { first, last }
}

/** Parser of an option that takes a moment: ISO 8601, or a duration before now such as `30m` or `24h`. Gives Unix milliseconds. */
export function moment(text: string): number {
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const ms = Date.parse(text)
    if (!Number.isNaN(ms)) return ms
  } else if (/[a-z]$/i.test(text)) {
    try {
      return Date.now() - parseDuration(text)
    } catch {
      // Said below, with both forms.
    }
  }
  throw new InvalidArgumentError(
    'It must be a time such as 2026-05-01T12:00:00Z, or one before now: 30m, 24h.',
  )
}
