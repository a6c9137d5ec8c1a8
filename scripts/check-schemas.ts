import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import avro from 'avsc'

/**
 * Checks every folder in `schemas/`: the versions are numbered from 1 without a gap, each is named as its folder, and each is compatible in both
 * directions with every earlier one (FULL_TRANSITIVE). Returns what is wrong, a line each.
 */
export function checkSchemas(folder: string): string[] {
  const problems: string[] = []
  for (const name of subjects(folder)) {
    const versions = readdirSync(join(folder, name))
      .filter((file) => file.endsWith('.avsc'))
      .map((file) => ({ file, number: Number(file.slice(0, -'.avsc'.length)) }))
      .sort((a, b) => a.number - b.number)
    if (versions.length === 0) problems.push(`${name}: no version`)
    const types: { file: string; type: avro.Type }[] = []
    versions.forEach(({ file, number }, index) => {
      if (number !== index + 1) problems.push(`${name}: ${file} stands where ${index + 1}.avsc is expected`)
      try {
        const type = avro.Type.forSchema(JSON.parse(readFileSync(join(folder, name, file), 'utf8')), {
          wrapUnions: 'always',
        })
        if (type.name !== name) problems.push(`${name}: ${file} defines ${type.name}`)
        for (const earlier of types) problems.push(...incompatibilities(name, { file, type }, earlier))
        types.push({ file, type })
      } catch (error) {
        problems.push(`${name}: ${file} is not a valid schema: ${messageOf(error)}`)
      }
    })
  }
  return problems
}

interface Version {
  file: string
  type: avro.Type
}

function incompatibilities(name: string, newer: Version, earlier: Version): string[] {
  return [[newer, earlier] as const, [earlier, newer] as const].flatMap(([reader, writer]) => {
    try {
      reader.type.createResolver(writer.type)
      return []
    } catch (error) {
      return [`${name}: ${reader.file} cannot read what ${writer.file} writes: ${messageOf(error)}`]
    }
  })
}

function subjects(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = fileURLToPath(new URL('../schemas', import.meta.url))
  const problems = checkSchemas(folder)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
  else
    console.log(`schemas: ${subjects(folder).join(', ')}: every version is compatible with every earlier one`)
}
