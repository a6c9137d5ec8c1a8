import avsc, { type Schema, type Type } from 'avsc'
import { invalidSchema } from './registry-errors.ts'

/** Confluent's compatibility levels. The transitive ones look at every earlier version, the others at the latest. */
export const COMPATIBILITY_LEVELS = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const

export type CompatibilityLevel = (typeof COMPATIBILITY_LEVELS)[number]

export function isCompatibilityLevel(level: unknown): level is CompatibilityLevel {
  return COMPATIBILITY_LEVELS.some((known) => known === level)
}

/** Parses an Avro schema. Throws a RegistryError 42201 when it is none. */
export function parseAvroSchema(text: string): Type {
  try {
    // Names stay free of JavaScript's view of values: without wrapping, avsc refuses unions that Avro allows.
    return avsc.Type.forSchema(JSON.parse(text) as Schema, { wrapUnions: true })
  } catch (error) {
    throw invalidSchema(error instanceof Error ? error.message : String(error))
  }
}

/** Text by which two spellings of one schema (white space, order of the keys, `{"type": "int"}`) are known to be the same. */
export function canonicalText(text: string): string {
  return JSON.stringify(sortKeys(JSON.parse(text)))
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  // {"type": "string"} is the long spelling of "string".
  if ('type' in value && Object.keys(value).length === 1) return sortKeys(value.type)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]))
}

/** An earlier version of a subject. */
export interface EarlierSchema {
  version: number
  schema: string
}

/** Why a new schema may not follow the earlier ones, given oldest first; empty when it may. */
export function incompatibilities(
  level: CompatibilityLevel,
  candidate: string,
  earlier: readonly EarlierSchema[],
): string[] {
  if (level === 'NONE') return []
  const compared = level.endsWith('_TRANSITIVE') ? earlier : earlier.slice(-1)
  const candidateType = parseAvroSchema(candidate)
  const messages: string[] = []
  for (const { version, schema } of compared) {
    const earlierType = parseAvroSchema(schema)
    if (!level.startsWith('FORWARD')) {
      const reason = whyUnreadable(candidateType, earlierType)
      if (reason !== undefined)
        messages.push(`the new schema cannot read data of version ${version}: ${reason}`)
    }
    if (!level.startsWith('BACKWARD')) {
      const reason = whyUnreadable(earlierType, candidateType)
      if (reason !== undefined)
        messages.push(`version ${version} cannot read data of the new schema: ${reason}`)
    }
  }
  return messages
}

function whyUnreadable(reader: Type, writer: Type): string | undefined {
  try {
    reader.createResolver(writer)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
