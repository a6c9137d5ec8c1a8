import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs'
import {
  type CompatibilityLevel,
  canonicalText,
  incompatibilities,
  isCompatibilityLevel,
  parseAvroSchema,
} from './compatibility.ts'
import { incompatible, schemaNotFound, subjectNotFound, versionNotFound } from './registry-errors.ts'

/** One version of a subject. */
export interface RegisteredSchema {
  subject: string
  version: number
  id: number
  schema: string
}

type StoredLine =
  | ({ kind: 'schema' } & RegisteredSchema)
  | { kind: 'config'; subject: string; level: CompatibilityLevel | null }

/** Subject under which the global level is kept; no real subject is empty. */
const GLOBAL = ''
const DEFAULT_LEVEL: CompatibilityLevel = 'BACKWARD'

/** What the registry knows: in memory, and as a file of JSON lines that is only ever appended to. */
export class SchemaStore {
  readonly #file: string | undefined
  readonly #subjects = new Map<string, RegisteredSchema[]>()
  readonly #schemasById = new Map<number, string>()
  readonly #idsByText = new Map<string, number>()
  readonly #levels = new Map<string, CompatibilityLevel>()

  /** Reads the file when there is one; without a path nothing outlives the process. */
  constructor(file?: string) {
    this.#file = file
    if (file !== undefined && existsSync(file)) this.#load(file)
  }

  subjects(): string[] {
    return [...this.#subjects.keys()].sort()
  }

  /** Versions of a subject, oldest first. Throws 40401. */
  versions(subject: string): readonly RegisteredSchema[] {
    const versions = this.#subjects.get(subject)
    if (versions === undefined) throw subjectNotFound(subject)
    return versions
  }

  /** One version, or the latest. Throws 40401, 40402. */
  version(subject: string, version: number | 'latest'): RegisteredSchema {
    const versions = this.versions(subject)
    const found = version === 'latest' ? versions.at(-1) : versions.find((entry) => entry.version === version)
    if (found === undefined) throw versionNotFound(String(version))
    return found
  }

  /** Throws 40403. */
  schemaById(id: number): string {
    const schema = this.#schemasById.get(id)
    if (schema === undefined) throw schemaNotFound()
    return schema
  }

  /** Every subject and version that has this id. Throws 40403. */
  usesOf(id: number): RegisteredSchema[] {
    this.schemaById(id)
    return [...this.#subjects.values()].flat().filter((entry) => entry.id === id)
  }

  /** Finds a schema in a subject. Throws 40401, 40403, 42201. */
  lookup(subject: string, schema: string): RegisteredSchema {
    const found = this.#find(this.versions(subject), schema)
    if (found === undefined) throw schemaNotFound()
    return found
  }

  /** Adds a version, or finds the one that is there already; equal schemas share an id in all subjects. Throws 42201, 409. */
  register(subject: string, schema: string): RegisteredSchema {
    const versions = this.#subjects.get(subject) ?? []
    const known = this.#find(versions, schema)
    if (known !== undefined) return known
    const messages = incompatibilities(this.level(subject), schema, versions)
    if (messages.length > 0) throw incompatible(messages)
    const entry: RegisteredSchema = {
      subject,
      version: (versions.at(-1)?.version ?? 0) + 1,
      id: this.#idsByText.get(canonicalText(schema)) ?? this.#schemasById.size + 1,
      schema,
    }
    this.#append({ kind: 'schema', ...entry })
    this.#add(entry)
    return entry
  }

  /** Level that counts for a subject: its own, else the global one. */
  level(subject: string): CompatibilityLevel {
    return this.ownLevel(subject) ?? this.globalLevel()
  }

  globalLevel(): CompatibilityLevel {
    return this.#levels.get(GLOBAL) ?? DEFAULT_LEVEL
  }

  ownLevel(subject: string): CompatibilityLevel | undefined {
    return this.#levels.get(subject)
  }

  /** Sets a subject's level, or the global one without a subject; null takes it away. */
  setLevel(subject: string | undefined, level: CompatibilityLevel | null): void {
    const key = subject ?? GLOBAL
    this.#append({ kind: 'config', subject: key, level })
    this.#applyLevel(key, level)
  }

  #find(versions: readonly RegisteredSchema[], schema: string): RegisteredSchema | undefined {
    parseAvroSchema(schema)
    const text = canonicalText(schema)
    return versions.find((entry) => canonicalText(entry.schema) === text)
  }

  #add(entry: RegisteredSchema): void {
    const versions = this.#subjects.get(entry.subject)
    if (versions === undefined) this.#subjects.set(entry.subject, [entry])
    else versions.push(entry)
    if (!this.#schemasById.has(entry.id)) {
      this.#schemasById.set(entry.id, entry.schema)
      this.#idsByText.set(canonicalText(entry.schema), entry.id)
    }
  }

  #applyLevel(subject: string, level: CompatibilityLevel | null): void {
    if (level === null) this.#levels.delete(subject)
    else this.#levels.set(subject, level)
  }

  #append(line: StoredLine): void {
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  #load(file: string): void {
    const text = readFileSync(file, 'utf8')
    const end = text.lastIndexOf('\n') + 1
    // A kill in the middle of a write leaves half a line; nobody was told that it had been stored.
    if (end < text.length) truncateSync(file, Buffer.byteLength(text.slice(0, end)))
    for (const [index, row] of text.slice(0, end).split('\n').entries()) {
      if (row === '') continue
      const line = parseLine(row)
      if (line === undefined) throw new Error(`${file}:${index + 1} is not a line of the schema registry`)
      if (line.kind === 'schema') this.#add(line)
      else this.#applyLevel(line.subject, line.level)
    }
  }
}

function parseLine(row: string): StoredLine | undefined {
  const value: unknown = JSON.parse(row)
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('subject' in value))
    return undefined
  const { kind, subject } = value
  if (typeof subject !== 'string') return undefined
  if (kind === 'config' && 'level' in value && (value.level === null || isCompatibilityLevel(value.level))) {
    return { kind, subject, level: value.level }
  }
  if (kind !== 'schema' || !('version' in value) || !('id' in value) || !('schema' in value)) return undefined
  const { version, id, schema } = value
  if (typeof version !== 'number' || typeof id !== 'number' || typeof schema !== 'string') return undefined
  return { kind, subject, version, id, schema }
}
