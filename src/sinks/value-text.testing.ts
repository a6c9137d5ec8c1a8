import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import { PayloadReference } from '../model/payload-reference.ts'

/** A reader of the text forms, written from docs/sql.md and not from the writer: what tests hold the writer against. */

/** A value with its preview in the place of each payload reference: as much as its text form says. */
export type TextValue =
  | null
  | string
  | bigint
  | number
  | boolean
  | Uint8Array
  | TextValue[]
  | { entries: [string, TextValue][] }
  | { preview: string }

export function withoutReferences(value: AnyValue): TextValue {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (value instanceof PayloadReference) return { preview: value.preview }
  if (value instanceof KeyValueList) {
    return { entries: value.entries.map(({ key, value: inner }) => [key, withoutReferences(inner)]) }
  }
  return value.map(withoutReferences)
}

export function parseValueText(letter: string, text: string): TextValue {
  switch (letter) {
    case 'n':
      return null
    case 's':
      return text
    case 'i':
      return BigInt(text)
    case 'd':
      return Number(text)
    case 'b':
      return text === 'true'
    case 'y':
      return Uint8Array.from(Buffer.from(text, 'base64'))
    case 'p':
      return { preview: text }
    case 'a':
    case 'm':
      return new JsonText(text).read()
    default:
      throw new Error(`Unknown type letter ${letter}`)
  }
}

/** JSON.parse would merge repeated keys and round integers. */
class JsonText {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): TextValue {
    switch (this.#text[this.#at]) {
      case '[':
        return this.#list(']', () => this.read())
      case '{':
        return this.#object()
      case '"':
        return this.#string()
    }
    const token = /[^,\]}]+/y
    token.lastIndex = this.#at
    const [word = ''] = token.exec(this.#text) ?? []
    this.#at += word.length
    if (word === 'null') return null
    if (word === 'true' || word === 'false') return word === 'true'
    return /[.e]/.test(word) ? Number(word) : BigInt(word)
  }

  #object(): TextValue {
    const entries = this.#list('}', (): [string, TextValue] => {
      const key = this.#string()
      this.#at++ // the colon
      return [key, this.read()]
    })
    const [first] = entries
    if (first !== undefined && entries.length === 1 && typeof first[1] === 'string') {
      if (first[0] === '$bytes') return parseValueText('y', first[1])
      if (first[0] === '$double') return parseValueText('d', first[1])
      if (first[0] === '$payload') return parseValueText('p', first[1])
    }
    return { entries: entries.map(([key, value]) => [key.startsWith('$') ? key.slice(1) : key, value]) }
  }

  #list<T>(end: string, item: () => T): T[] {
    const items: T[] = []
    this.#at++
    while (this.#text[this.#at] !== end) {
      items.push(item())
      if (this.#text[this.#at] === ',') this.#at++
    }
    this.#at++
    return items
  }

  #string(): string {
    const token = /"(?:[^"\\]|\\.)*"/suy
    token.lastIndex = this.#at
    const [text = '""'] = token.exec(this.#text) ?? []
    this.#at += text.length
    return JSON.parse(text) as string
  }
}
