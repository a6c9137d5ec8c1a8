import { type AST, RegExpParser, RegExpSyntaxError } from '@eslint-community/regexpp'
import { type ByteClass, type ByteRun, bitsOf, byteClass, MAX_RUN_LENGTH, unionOf } from './byte-run.ts'

/** More alternatives than this are not worth looking for one by one. */
const MAX_ALTERNATIVES = 4
/** A run that tells less is in nearly every text. */
const MIN_BITS = 5

/** Every match has at least one of the runs in its UTF-8. */
interface Required {
  readonly runs: readonly ByteRun[]
  readonly bits: number
}

/** What is known of every match of a part of a regular expression, as UTF-8 bytes. */
interface Shape {
  /** The whole match, where all matches are of one length. */
  readonly exact: ByteRun | undefined
  /** How every match begins and ends. */
  readonly prefix: ByteRun
  readonly suffix: ByteRun
  readonly best: Required | undefined
}

const NOTHING: Shape = { exact: [], prefix: [], suffix: [], best: undefined }
const ANYTHING: Shape = { exact: undefined, prefix: [], suffix: [], best: undefined }

/**
 * Runs of bytes of which every match of the regular expression has at least one, in the UTF-8 of a text that it matches; undefined when none
 * can be told that would keep many texts out. What is not understood counts as anything: the runs may be too wide, never too narrow.
 */
export function requiredRuns(regExp: RegExp): readonly ByteRun[] | undefined {
  const literal = parse(regExp)
  if (literal === undefined) return undefined
  const { ignoreCase, unicode, unicodeSets } = literal.flags
  const { best } = new Shapes(ignoreCase, unicode || unicodeSets).alternatives(literal.pattern.alternatives)
  return best !== undefined && best.bits >= MIN_BITS ? best.runs : undefined
}

/** Undefined when the engine knows syntax that the parser does not. */
function parse(regExp: RegExp): AST.RegExpLiteral | undefined {
  try {
    return new RegExpParser().parseLiteral(`/${regExp.source}/${regExp.flags}`)
  } catch (error) {
    if (error instanceof RegExpSyntaxError) return undefined
    throw error
  }
}

class Shapes {
  readonly #ignoreCase: boolean
  readonly #unicode: boolean

  constructor(ignoreCase: boolean, unicode: boolean) {
    this.#ignoreCase = ignoreCase
    this.#unicode = unicode
  }

  alternatives(alternatives: readonly AST.Alternative[]): Shape {
    return anyOf(
      alternatives.map(({ elements }) => elements.map((each) => this.#of(each)).reduce(join, NOTHING)),
    )
  }

  #of(element: AST.Element): Shape {
    switch (element.type) {
      case 'Character':
        return this.#character(element.value)
      case 'CharacterSet':
      case 'CharacterClass':
        return shapeOf(this.#class(element))
      case 'Quantifier':
        return repeat(this.#of(element.element), element.min, element.max)
      case 'Group':
        return element.modifiers === null ? this.alternatives(element.alternatives) : ANYTHING
      case 'CapturingGroup':
        return this.alternatives(element.alternatives)
      case 'Assertion':
        return NOTHING
      default:
        return ANYTHING
    }
  }

  #character(code: number): Shape {
    if (code < 0x80) return shapeOf(this.#class({ type: 'Character', value: code }))
    // U+FFFD also stands for bytes that are not UTF-8, a surrogate for half a character; other cases have other bytes.
    const isSurrogate = code >= 0xd800 && code < 0xe000
    if (this.#ignoreCase || isSurrogate || code === 0xfffd) return ANYTHING
    return exactly([...Buffer.from(String.fromCodePoint(code))].map((byte) => byteClass(byte)))
  }

  /** Undefined when other than ASCII characters may be in it. */
  #class(
    element:
      | AST.CharacterSet
      | AST.CharacterClass
      | AST.CharacterClassElement
      | { type: 'Character'; value: number },
  ): ByteClass | undefined {
    switch (element.type) {
      case 'Character':
        return this.#range(element.value, element.value)
      case 'CharacterClassRange':
        return this.#range(element.min.value, element.max.value)
      case 'CharacterSet':
        if (element.kind === 'digit' && !element.negate) return this.#range(0x30, 0x39)
        if (element.kind === 'word' && !element.negate)
          return this.#all(WORD.map(([a, z]) => this.#range(a, z)))
        return undefined
      case 'CharacterClass':
        return element.negate ? undefined : this.#all(element.elements.map((each) => this.#class(each)))
      default:
        return undefined
    }
  }

  #all(classes: readonly (ByteClass | undefined)[]): ByteClass | undefined {
    let all: ByteClass | undefined = byteClass()
    for (const each of classes) all = all && each && unionOf(all, each)
    return all
  }

  #range(min: number, max: number): ByteClass | undefined {
    if (max >= 0x80) return undefined
    const result = byteClass()
    for (let code = min; code <= max; code++) {
      result[code] = 1
      const letter = code | 0x20
      if (!this.#ignoreCase || letter < 0x61 || letter > 0x7a) continue
      // With the flags i and u, U+017F is an s and U+212A a k.
      if (this.#unicode && (letter === 0x73 || letter === 0x6b)) return undefined
      result[letter] = 1
      result[letter & ~0x20] = 1
    }
    return result
  }
}

const WORD = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
] as const

function shapeOf(byteSet: ByteClass | undefined): Shape {
  return byteSet === undefined ? ANYTHING : exactly([byteSet])
}

function exactly(run: ByteRun): Shape {
  return { exact: run, prefix: run, suffix: run, best: required([run]) }
}

/** One part, and right behind it the other. */
function join(a: Shape, b: Shape): Shape {
  const length = (a.exact?.length ?? Infinity) + (b.exact?.length ?? Infinity)
  const exact = length <= MAX_RUN_LENGTH ? [...(a.exact ?? []), ...(b.exact ?? [])] : undefined
  const middle = [...a.suffix, ...b.prefix].slice(0, MAX_RUN_LENGTH)
  return {
    exact,
    prefix: a.exact === undefined ? a.prefix : [...a.exact, ...b.prefix].slice(0, MAX_RUN_LENGTH),
    suffix: b.exact === undefined ? b.suffix : [...a.suffix, ...b.exact].slice(-MAX_RUN_LENGTH),
    best: better(a.best, b.best, required([middle])),
  }
}

function anyOf(shapes: readonly Shape[]): Shape {
  const [first, ...others] = shapes
  if (first === undefined || others.length === 0) return first ?? NOTHING
  const prefix = overlay(shapes.map((shape) => shape.prefix))
  const suffix = overlay(shapes.map((shape) => [...shape.suffix].reverse())).reverse()
  const isOneLength = shapes.every(({ exact }) => exact !== undefined && exact.length === first.exact?.length)
  const runs = shapes.flatMap((shape) => shape.best?.runs ?? [])
  const canLookForEach = shapes.every(({ best }) => best !== undefined) && runs.length <= MAX_ALTERNATIVES
  return {
    exact: isOneLength ? prefix : undefined,
    prefix,
    suffix,
    best: better(canLookForEach ? required(runs) : undefined, required([prefix]), required([suffix])),
  }
}

function repeat(shape: Shape, min: number, max: number): Shape {
  if (max === 0) return NOTHING
  if (min === 0) return ANYTHING
  let result = shape
  // Further ones would not change the run any more.
  const rounds = Math.min(min, MAX_RUN_LENGTH + 1)
  for (let count = 1; count < rounds; count++) result = join(result, shape)
  return max === rounds ? result : { ...result, exact: undefined }
}

/** For each place, what any of the runs has there, as far as the shortest goes. */
function overlay(runs: readonly ByteRun[]): ByteClass[] {
  const length = Math.min(...runs.map((run) => run.length))
  return Array.from({ length }, (_, place) => runs.map((run) => run[place]!).reduce(unionOf))
}

function required(runs: readonly ByteRun[]): Required | undefined {
  if (runs.some((run) => run.length === 0)) return undefined
  return { runs, bits: Math.min(...runs.map(bitsOf)) - Math.log2(runs.length) }
}

function better(...candidates: readonly (Required | undefined)[]): Required | undefined {
  return candidates.reduce(
    (best, each) => (each !== undefined && each.bits > (best?.bits ?? 0) ? each : best),
    undefined,
  )
}
