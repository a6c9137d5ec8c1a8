import type { ByObjectsObserver } from '../model/by-objects.ts'
import { isSiderealError } from '../model/errors.ts'
import type { Reader } from './avro/readers.ts'
import type { RecordType } from './record-type.ts'

/** Walks of one kind by schema id, each compiled when it is first asked for. */
export class SchemaWalks<Walk> {
  readonly #recordTypes: (schemaId: number) => RecordType | undefined
  readonly #compile: (type: RecordType) => Walk
  readonly #observer: ByObjectsObserver | undefined
  readonly #walks = new Map<number, Walk | undefined>()

  /**
   * @param recordTypes the compiled schema of a record that was consumed
   * @param observer hears once of each schema for which no walk can be made
   */
  constructor(
    recordTypes: (schemaId: number) => RecordType | undefined,
    compile: (type: RecordType) => Walk,
    observer?: ByObjectsObserver,
  ) {
    this.#recordTypes = recordTypes
    this.#compile = compile
    this.#observer = observer
  }

  /** Undefined when the writer lacks a field that the walk cannot do without. */
  get(schemaId: number): Walk | undefined {
    const known = this.#walks.get(schemaId)
    if (known !== undefined || this.#walks.has(schemaId)) return known
    const type = this.#recordTypes(schemaId)
    if (type === undefined) return undefined
    const walk = this.#tryToCompile(type)
    this.#walks.set(schemaId, walk)
    return walk
  }

  #tryToCompile(type: RecordType): Walk | undefined {
    try {
      return this.#compile(type)
    } catch (error) {
      if (!isSiderealError(error, 'SIDEREAL_SCHEMA_INCOMPATIBLE')) throw error
      this.#observer?.noWalk?.(type.schemaId, type.name, error.message)
      return undefined
    }
  }
}

/** Reads the value of one field of the record, which lies at `[start, end)`, as an object. */
export function fieldDecoder<Value>(
  type: RecordType,
  field: string,
  reader: Reader,
): (bytes: Buffer, start: number, end: number) => Value {
  return type.compileWalk({ field, plan: (names) => reader.plan('result', names), result: true })
}
