import { readdirSync, readFileSync } from 'node:fs'
import { SiderealError } from '../model/errors.ts'

export type BundledSchemaName = 'sidereal.SpanBatch' | 'sidereal.NodeTraceLog'

export const BUNDLED_SCHEMA_NAMES: readonly BundledSchemaName[] = [
  'sidereal.SpanBatch',
  'sidereal.NodeTraceLog',
]

export interface BundledSchema {
  /** Avro schema, as the registry takes it. */
  json: string
  /** Number of the file in `schemas/<name>/`, from 1. */
  version: number
}

const schemasFolder = new URL('../../schemas/', import.meta.url)

/**
 * Every version of a schema that this release of Sidereal carries, oldest first.
 * @throws SiderealError SIDEREAL_CONFIG_INVALID when they are not where the package has them
 */
export function bundledSchemas(name: BundledSchemaName): BundledSchema[] {
  const folder = new URL(`${name}/`, schemasFolder)
  return namesIn(folder)
    .filter((file) => /^\d+\.avsc$/.test(file))
    .map((file) => ({
      json: readFileSync(new URL(file, folder), 'utf8'),
      version: Number.parseInt(file, 10),
    }))
    .sort((a, b) => a.version - b.version)
}

function namesIn(folder: URL): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `the schemas of Sidereal are not in ${folder.pathname}: a bundler leaves them out, so leave the package sidereal out of the bundle and install it`,
      { cause },
    )
  }
}

/** The newest version: what the record writer writes and `setup` registers. */
export function bundledSchema(name: BundledSchemaName): BundledSchema {
  const newest = bundledSchemas(name).at(-1)
  if (newest === undefined)
    throw new Error(`no schema of ${name} in ${schemasFolder.pathname}: the installation is damaged`)
  return newest
}
