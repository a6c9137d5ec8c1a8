/*
 * Reads the text forms of attribute values (docs/sql.md) back into typed values. Written from the documentation and not shared with the sink
 * that writes them, since verify is to find faults there too.
 */

/** A string that was moved away; what stands in the row is its beginning. */
export class StoredText {
  readonly preview: string

  constructor(preview: string) {
    this.preview = preview
  }
}

export class ParsedMap {
  readonly entries: readonly (readonly [string, ParsedValue])[]

  constructor(entries: readonly (readonly [string, ParsedValue])[]) {
    this.entries = entries
  }
}

export type ParsedValue =
  | null
  | string
  | bigint
  | number
  | boolean
  | Uint8Array
  | readonly ParsedValue[]
  | ParsedMap
  | StoredText

/**
 * The value that a text of a map column stands for, `undefined` when it is no text form of that type.
 * @param letter of the column `…_types`: n null, s string, i int, d double, b bool, y bytes, a array, m map, p payload
 */
export function parseTextForm(letter: string, text: string): ParsedValue | undefined {
  switch (letter) {
    case 'n':
      return text === '' ? null : undefined
    case 's':
      return text
    case 'p':
      return new StoredText(text)
    case 'i':
      return /^-?\d+$/.test(text) ? BigInt(text) : undefined
    case 'd':
      return parseDouble(text)
    case 'b':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'y':
      return parseBytes(text)
    case 'a':
    case 'm': {
      const parsed = new ValueParser(text).parse()
      return letter === 'a'
        ? Array.isArray(parsed)
          ? parsed
          : undefined
        : parsed instanceof ParsedMap
          ? parsed
          : undefined
    }
    default:
      return undefined
  }
}

function parseDouble(text: string): number | undefined {
  if (text === 'NaN') return Number.NaN
  return /^-?(Infinity|\d+(\.\d+)?(e[+-]?\d+)?)$/.test(text) ? Number(text) : undefined
}

function parseBytes(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** JSON in which bare digits are integers, everything else that counts is a double, and keys may repeat. */
class ValueParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** `undefined` when the text is anything else. */
  parse(): ParsedValue | undefined {
    const value = this.#value()
    return this.#at === this.#text.length ? value : undefined
  }

  #value(): ParsedValue | undefined {
    switch (this.#text[this.#at]) {
      case '"':
        return this.#string()
      case '[':
        return this.#array()
      case '{':
        return this.#object()
      default:
        return this.#word()
    }
  }

  #word(): ParsedValue | undefined {
    const word = /[^,\]}]*/y
    word.lastIndex = this.#at
    const text = word.exec(this.#text)?.[0] ?? ''
    this.#at += text.length
    if (text === 'null') return null
    if (/^-?\d+$/.test(text)) return BigInt(text)
    return parseTextForm('b', text) ?? (/^-?\d/.test(text) ? parseDouble(text) : undefined)
  }

  #string(): string | undefined {
    const literal = /"(?:[^"\\]|\\.)*"/sy
    literal.lastIndex = this.#at
    const text = literal.exec(this.#text)?.[0]
    if (text === undefined) return undefined
    this.#at += text.length
    try {
      const parsed: unknown = JSON.parse(text)
      return typeof parsed === 'string' ? parsed : undefined
    } catch {
      // A wrong escape: then it is no text form, which the caller reports as a difference.
      return undefined
    }
  }

  #array(): ParsedValue[] | undefined {
    const values: ParsedValue[] = []
    this.#at += 1
    if (this.#take(']')) return values
    do {
      const value = this.#value()
      if (value === undefined) return undefined
      values.push(value)
    } while (this.#take(','))
    return this.#take(']') ? values : undefined
  }

  #object(): ParsedValue | undefined {
    const entries: [string, ParsedValue][] = []
    this.#at += 1
    if (this.#take('}')) return new ParsedMap(entries)
    do {
      const key = this.#text[this.#at] === '"' ? this.#string() : undefined
      if (key === undefined || !this.#take(':')) return undefined
      const value = this.#value()
      if (value === undefined) return undefined
      entries.push([key, value])
    } while (this.#take(','))
    return this.#take('}') ? special(entries) : undefined
  }

  #take(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false
    this.#at += 1
    return true
  }
}

/** `{"$bytes":…}`, `{"$double":…}` and `{"$payload":…}` are values; other keys that begin with `$` carry one more than was sent. */
function special(entries: readonly [string, ParsedValue][]): ParsedValue | undefined {
  const [first] = entries
  if (entries.length === 1 && first !== undefined && typeof first[1] === 'string') {
    const [key, text] = first
    if (key === '$bytes') return parseBytes(text)
    if (key === '$double') return parseDouble(text)
    if (key === '$payload') return new StoredText(text)
  }
  return new ParsedMap(entries.map(([key, value]) => [key.startsWith('$') ? key.slice(1) : key, value]))
}
