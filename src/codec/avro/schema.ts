import { SiderealError } from '../../model/errors.ts'

/** An Avro schema with its names resolved. Named types are shared objects, so a recursive schema is a cyclic graph. */
export type AvroType =
  | AvroPrimitive
  | { kind: 'fixed'; name: string; size: number }
  | { kind: 'enum'; name: string; symbolCount: number }
  | { kind: 'array'; items: AvroType }
  | { kind: 'map'; values: AvroType }
  | { kind: 'union'; branches: AvroType[] }
  | AvroRecord

export interface AvroPrimitive {
  kind: 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'
  logicalType: string | undefined
}

export interface AvroRecord {
  kind: 'record'
  /** Full name: namespace and name. */
  name: string
  fields: { name: string; type: AvroType }[]
}

const PRIMITIVES: ReadonlySet<string> = new Set<AvroPrimitive['kind']>([
  'null',
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'bytes',
  'string',
])

const MAX_NESTING = 200

type Json = Record<string, unknown>

/**
 * Parses an Avro schema (JSON) and resolves its names.
 * @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when it is not a valid Avro schema
 */
export function parseAvroSchema(json: string): AvroType {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch (cause) {
    throw new SiderealError('SIDEREAL_SCHEMA_INCOMPATIBLE', 'the schema is not JSON', { cause })
  }
  return new Resolver().resolve(parsed, '', 0)
}

/** The name by which a union branch is addressed: the primitive's, or a named type's without its namespace. */
export function branchName(type: AvroType): string {
  return 'name' in type ? type.name.slice(type.name.lastIndexOf('.') + 1) : type.kind
}

class Resolver {
  #named = new Map<string, AvroType>()

  resolve(schema: unknown, namespace: string, nesting: number): AvroType {
    if (nesting > MAX_NESTING) throw refuse(`is nested deeper than ${MAX_NESTING} levels`)
    if (typeof schema === 'string') return this.#reference(schema, namespace)
    if (Array.isArray(schema)) {
      return { kind: 'union', branches: schema.map((branch) => this.resolve(branch, namespace, nesting + 1)) }
    }
    if (!isObject(schema)) throw refuse(`has a type that is ${JSON.stringify(schema)}`)
    const type = schema['type']
    switch (type) {
      case 'record':
        return this.#record(schema, namespace, nesting)
      case 'fixed':
        return this.#name(schema, namespace, (name) => ({
          kind: 'fixed',
          name,
          size: count(schema['size'], name),
        }))
      case 'enum':
        return this.#name(schema, namespace, (name) => ({
          kind: 'enum',
          name,
          symbolCount: list(schema['symbols'], name).length,
        }))
      case 'array':
        return { kind: 'array', items: this.resolve(schema['items'], namespace, nesting + 1) }
      case 'map':
        return { kind: 'map', values: this.resolve(schema['values'], namespace, nesting + 1) }
    }
    const logicalType = schema['logicalType']
    if (typeof type === 'string' && isPrimitive(type)) {
      return { kind: type, logicalType: typeof logicalType === 'string' ? logicalType : undefined }
    }
    return this.resolve(type, namespace, nesting + 1)
  }

  #reference(name: string, namespace: string): AvroType {
    if (isPrimitive(name)) return { kind: name, logicalType: undefined }
    const found = this.#named.get(qualify(name, namespace)) ?? this.#named.get(name)
    if (found === undefined) throw refuse(`refers to the unknown type "${name}"`)
    return found
  }

  #record(schema: Json, namespace: string, nesting: number): AvroType {
    return this.#name(
      schema,
      namespace,
      (name): AvroRecord => ({ kind: 'record', name, fields: [] }),
      (record) => {
        const inner = record.name.slice(0, Math.max(record.name.lastIndexOf('.'), 0))
        for (const field of list(schema['fields'], record.name)) {
          if (!isObject(field) || typeof field['name'] !== 'string')
            throw refuse(`has a bad field in ${record.name}`)
          record.fields.push({ name: field['name'], type: this.resolve(field['type'], inner, nesting + 1) })
        }
      },
    )
  }

  /** Names go into the table before the fields are resolved, since these may refer to their own record. */
  #name<T extends AvroType>(
    schema: Json,
    namespace: string,
    create: (name: string) => T,
    complete?: (type: T) => void,
  ): T {
    const name = schema['name']
    const own = schema['namespace']
    if (typeof name !== 'string') throw refuse('has a named type without a name')
    const full = qualify(name, typeof own === 'string' ? own : namespace)
    if (this.#named.has(full)) throw refuse(`defines "${full}" twice`)
    const type = create(full)
    this.#named.set(full, type)
    complete?.(type)
    return type
  }
}

function isPrimitive(name: string): name is AvroPrimitive['kind'] {
  return PRIMITIVES.has(name)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function qualify(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
}

function count(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw refuse(`has a bad size in ${name}`)
  return value
}

function list(value: unknown, name: string): unknown[] {
  if (!Array.isArray(value)) throw refuse(`has no list of parts in ${name}`)
  return value
}

function refuse(what: string): SiderealError {
  return new SiderealError('SIDEREAL_SCHEMA_INCOMPATIBLE', `the Avro schema ${what}`)
}
