import { incompatible } from './plan.ts'
import type { AvroType } from './schema.ts'

/** Records that can hold themselves. Refuses those that can do so without a union, since nothing would count their depth. */
export function recursiveRecords(root: AvroType): Set<AvroType> {
  const records = new Set<AvroType>()
  collectRecords(root, records)
  const recursive = new Set<AvroType>()
  for (const record of records) {
    if (reaches(record, record, true, new Set())) recursive.add(record)
    if (reaches(record, record, false, new Set())) throw incompatible('a record holds itself without a union')
  }
  return recursive
}

function collectRecords(type: AvroType, into: Set<AvroType>): void {
  if (type.kind === 'record') {
    if (into.has(type)) return
    into.add(type)
  }
  for (const part of parts(type, true)) collectRecords(part, into)
}

function reaches(from: AvroType, target: AvroType, throughUnions: boolean, seen: Set<AvroType>): boolean {
  for (const part of parts(from, throughUnions)) {
    if (part === target) return true
    if (seen.has(part)) continue
    seen.add(part)
    if (reaches(part, target, throughUnions, seen)) return true
  }
  return false
}

function parts(type: AvroType, throughUnions: boolean): AvroType[] {
  switch (type.kind) {
    case 'record':
      return type.fields.map((field) => field.type)
    case 'array':
      return [type.items]
    case 'map':
      return [type.values]
    case 'union':
      return throughUnions ? type.branches : []
    default:
      return []
  }
}
