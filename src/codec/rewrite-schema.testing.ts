/** A field of an Avro record, as JSON. */
export interface SchemaField {
  name: string
  type: unknown
  default?: unknown
}

type Definition = Record<string, unknown> & { name: string; fields?: SchemaField[] }

/**
 * The schema with the fields of each record changed by `change`. Definitions move to the first mention of their name, which the
 * change may put elsewhere.
 */
export function rewriteSchema(
  json: string,
  change: (record: string, fields: SchemaField[]) => SchemaField[],
): string {
  const root: unknown = JSON.parse(json)
  const definitions = new Map<string, Definition>()
  collect(root)
  const written = new Set<string>()
  return JSON.stringify(write(root))

  function collect(schema: unknown): void {
    if (typeof schema !== 'object' || schema === null) return
    if (isDefinition(schema)) definitions.set(schema.name, schema)
    for (const part of Object.values(schema)) collect(part)
  }

  function write(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map(write)
    const name = typeof schema === 'string' ? schema : isDefinition(schema) ? schema.name : undefined
    const definition = name === undefined ? undefined : definitions.get(name)
    if (definition === undefined) {
      if (typeof schema !== 'object' || schema === null) return schema
      return Object.fromEntries(
        Object.entries(schema).map(([key, part]) => [
          key,
          key === 'type' || key === 'items' || key === 'values' ? write(part) : part,
        ]),
      )
    }
    if (written.has(definition.name)) return definition.name
    written.add(definition.name)
    if (definition.fields === undefined) return definition
    const fields = change(definition.name, definition.fields)
    return { ...definition, fields: fields.map((field) => ({ ...field, type: write(field.type) })) }
  }
}

function isDefinition(schema: unknown): schema is Definition {
  return (
    typeof schema === 'object' &&
    schema !== null &&
    'name' in schema &&
    'type' in schema &&
    (schema.type === 'record' || schema.type === 'fixed')
  )
}
