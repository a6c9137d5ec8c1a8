import { SiderealError } from '../../model/errors.ts'
import { requiredRuns } from './required-runs.ts'
import { RunFinder } from './run-finder.ts'
import { Utf8Offsets } from './utf8-offsets.ts'

/** What a value is searched for. */
export interface ValuePattern {
  /** Names the pattern in matches; of its own in a set. */
  readonly name: string
  /** Every match counts, with or without the flag `g`. */
  readonly regExp: RegExp
}

/** Where a pattern matches: whole characters, as positions in the bytes that were searched. */
export interface ValueMatch {
  readonly pattern: string
  readonly start: number
  readonly end: number
}

const NO_MATCHES: readonly ValueMatch[] = Object.freeze([])

interface CompiledPattern {
  readonly name: string
  readonly regExp: RegExp
  /** A text without any of these runs has no match; undefined: none could be told. */
  readonly finders: readonly RunFinder[] | undefined
}

/**
 * Searches the UTF-8 bytes of values for patterns. What it finds is what the plain regular expressions find in the decoded text, but a value that
 * cannot match is put aside by its bytes, without making a string: each pattern has runs of bytes of which every match has at least one
 * (`required-runs.ts`), and only a value that has them is decoded and given to the regular expression.
 *
 * A regular expression of which no such run can be told, as `\w+\s\w+`, goes over every value, at many times the cost: {@link unfiltered} names
 * these. JavaScript has no limit of time for a match: an expression that backtracks without bound, as `(a+)+b`, can hold up the process for
 * ever on one value that somebody sends. So take expressions only from the operator's own configuration, never from a request or a record,
 * and hold them linear, as `known-patterns.ts` does: no repetition within a repetition that can match the same text in two ways, and
 * a look-behind where a match may begin.
 */
export class ValuePatterns {
  /** Names of the patterns without a prefilter. */
  readonly unfiltered: readonly string[]
  readonly #patterns: readonly CompiledPattern[]

  /** @throws SiderealError `SIDEREAL_CONFIG_INVALID` when two patterns have one name */
  constructor(patterns: readonly ValuePattern[]) {
    const names = patterns.map(({ name }) => name)
    const twice = names.find((name, place) => names.indexOf(name) !== place)
    if (twice !== undefined) {
      throw new SiderealError('SIDEREAL_CONFIG_INVALID', `two value patterns have the name "${twice}"`)
    }
    this.#patterns = patterns.map(({ name, regExp }) => ({
      name,
      regExp: new RegExp(regExp.source, regExp.flags.includes('g') ? regExp.flags : `${regExp.flags}g`),
      finders: requiredRuns(regExp)?.map((run) => new RunFinder(run)),
    }))
    this.unfiltered = this.#patterns.filter(({ finders }) => finders === undefined).map(({ name }) => name)
  }

  /**
   * All matches of all patterns in the text at `[start, end)`, by their start; those of different patterns may overlap. A match that ends within a
   * character (of an expression without the flag `u` or `v`) is widened to the whole of it.
   */
  find(bytes: Buffer, start: number, end: number): readonly ValueMatch[] {
    let text: string | undefined
    let matches: ValueMatch[] | undefined
    for (const { name, regExp, finders } of this.#patterns) {
      if (finders !== undefined && !isAnyIn(finders, bytes, start, end)) continue
      text ??= bytes.toString('utf8', start, end)
      let offsets: Utf8Offsets | undefined
      for (const match of text.matchAll(regExp)) {
        offsets ??= text.length === end - start ? undefined : new Utf8Offsets(bytes, start, end)
        matches ??= []
        matches.push(rangeOf(name, match, start, offsets))
      }
    }
    return matches?.sort((a, b) => a.start - b.start) ?? NO_MATCHES
  }
}

function isAnyIn(finders: readonly RunFinder[], bytes: Buffer, start: number, end: number): boolean {
  for (const finder of finders) {
    if (finder.isIn(bytes, start, end)) return true
  }
  return false
}

function rangeOf(
  pattern: string,
  match: RegExpExecArray,
  start: number,
  offsets: Utf8Offsets | undefined,
): ValueMatch {
  const first = match.index
  const length = match[0].length
  if (offsets === undefined) return { pattern, start: start + first, end: start + first + length }
  const from = offsets.startOf(first)
  return { pattern, start: from, end: length === 0 ? from : offsets.endOf(first + length) }
}
