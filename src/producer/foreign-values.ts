import { types } from 'node:util'

/** More than a record, or a text that anybody reads, has room for. */
const MAX_VALUES = 1_000_000

/**
 * A way through a value that a service gave. Its objects may point at one another in any way: a request leads to its socket, that to its server,
 * that to the request. What is on the way already is not entered again, and the number of paths through what is left, which may be
 * more than anybody can count, has an end as well.
 */
export class ValueWalk {
  readonly #maxDepth: number
  readonly #above: object[] = []
  #values = 0

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth
  }

  /** To be asked for each value; false when there were too many. */
  takesOne(): boolean {
    this.#values += 1
    return this.#values <= MAX_VALUES
  }

  /** To be called before an object's inside is looked at; when it gives false the object is not to be entered, else `leave` follows. */
  enter(object: object): boolean {
    if (this.#above.length >= this.#maxDepth || this.#above.includes(object)) return false
    this.#above.push(object)
    return true
  }

  leave(): void {
    this.#above.pop()
  }
}

/** The fields of an object, or of a Map, whose keys become text as those of a dict do. Only a proxy makes it throw. */
export function entriesOf(object: object): [string, unknown][] {
  if (object instanceof Map) return [...object].map(([key, value]) => [plainText(key), value])
  return Object.keys(object).map((key) => [key, fieldOf(object, key)])
}

/** A field of an object; where an accessor of the application's own throws, that is data. */
export function fieldOf(object: object, key: string): unknown {
  try {
    return (object as Readonly<Record<string, unknown>>)[key]
  } catch (error) {
    return failureText(error)
  }
}

/** `String(value)`, also of what has no text: an object without prototype, one whose `toString` throws. */
export function plainText(value: unknown): string {
  try {
    return String(value)
  } catch {
    return '[no text]'
  }
}

/** What stands in the place of a value that could not be read. */
export function failureText(error: unknown): string {
  return `[${plainText(error)}]`
}

/**
 * What stands for an object that has a form of its own: of an error, which has no fields to see, its name and message; of one with `toJSON` what
 * that gives. Undefined = its fields say it.
 */
export function ownForm(value: object): { readonly form: unknown } | undefined {
  if (types.isNativeError(value) || value instanceof Error) return { form: plainText(value) }
  const toJson = (value as { readonly toJSON?: unknown }).toJSON
  return typeof toJson === 'function' ? { form: toJson.call(value) as unknown } : undefined
}

/** A name, or a field that is a text: callers without types give anything (`addEvent(undefined)`, `updateName(5)`). */
export function asText(name: unknown): string {
  return typeof name === 'string' ? name : plainText(name ?? '')
}
