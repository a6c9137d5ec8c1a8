import type { PayloadReference } from '../model/payload-reference.ts'
import { incompatible } from './avro/plan.ts'
import type { AvroType } from './avro/schema.ts'
import type { AvroOutput } from './avro-output.ts'

/** Writes a payload reference as one writer schema has it. */
export type WriteReference = (out: AvroOutput, reference: PayloadReference) => void

/** How deep a field may be nested that we do not know, and that has to get some value. */
const MAX_UNKNOWN_DEPTH = 16

const FIELDS: Readonly<Record<string, { kinds: readonly AvroType['kind'][]; write: WriteReference }>> = {
  key: { kinds: ['string'], write: (out, { key }) => out.string(key ?? '') },
  offset: { kinds: ['int', 'long'], write: (out, { offset }) => out.number(offset, 'offset') },
  length: { kinds: ['int', 'long'], write: (out, { length }) => out.number(length, 'length') },
  size: { kinds: ['int', 'long'], write: (out, { size }) => out.number(size, 'size') },
  sha256: { kinds: ['fixed'], write: (out, { sha256 }) => out.hex(sha256, 32, 'sha256') },
  encoding: { kinds: ['string'], write: (out, { encoding }) => out.string(encoding) },
  preview: { kinds: ['string'], write: (out, { preview }) => out.string(preview) },
}

/**
 * Makes the writer of references to stored payloads (so with a key) for a writer's own record of them: its fields, in its order. Fields
 * that we do not know, as a later version may have, get some value of their type.
 * @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when a field lacks, or is of another type than a reference has
 */
export function referenceWriter(type: AvroType): WriteReference {
  if (type.kind !== 'record') throw incompatible('a payload reference is no record')
  for (const name of Object.keys(FIELDS)) {
    // Without any other nobody would find the value again, or could read it.
    if (name !== 'preview' && !type.fields.some((field) => field.name === name))
      throw incompatible(`a payload reference has no field "${name}"`)
  }
  const writers = type.fields.map(({ name, type: fieldType }) => {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined
    return field === undefined
      ? anyValueWriter(fieldType, 0)
      : fieldWriter(fieldType, field.kinds, field.write)
  })
  return (out, reference) => {
    for (const write of writers) write(out, reference)
  }
}

function fieldWriter(
  type: AvroType,
  kinds: readonly AvroType['kind'][],
  write: WriteReference,
): WriteReference {
  if (kinds.includes(type.kind)) return write
  const branch = type.kind === 'union' ? type.branches.findIndex(({ kind }) => kinds.includes(kind)) : -1
  if (branch < 0) throw incompatible(`a field of a payload reference is a ${type.kind}`)
  return (out, reference) => {
    out.branch(branch)
    write(out, reference)
  }
}

/** The shortest value of a type. */
function anyValueWriter(type: AvroType, depth: number): WriteReference {
  if (depth > MAX_UNKNOWN_DEPTH) throw incompatible('a field of a payload reference is nested too deep')
  switch (type.kind) {
    case 'null':
      return () => undefined
    case 'boolean':
      return (out) => out.boolean(false)
    case 'double':
      return (out) => out.double(0)
    case 'float':
      return (out) => out.zeros(4)
    case 'fixed':
      return (out) => out.zeros(type.size)
    case 'record': {
      const fields = type.fields.map((field) => anyValueWriter(field.type, depth + 1))
      return (out, reference) => {
        for (const write of fields) write(out, reference)
      }
    }
    case 'union': {
      const nullBranch = type.branches.findIndex(({ kind }) => kind === 'null')
      const branch = Math.max(0, nullBranch)
      const branchType = type.branches[branch]
      if (branchType === undefined) throw incompatible('a field of a payload reference is an empty union')
      const write = anyValueWriter(branchType, depth + 1)
      return (out, reference) => {
        out.branch(branch)
        write(out, reference)
      }
    }
    // Numbers, an empty text or list, and the first symbol of an enum: all are a zero.
    default:
      return (out) => out.zeros(1)
  }
}
