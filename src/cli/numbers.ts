import { InvalidArgumentError } from 'commander'

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
