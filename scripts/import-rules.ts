import { posix } from 'node:path'

/** One source file: its path from the root of the clone with `/`, and its text. */
export interface SourceFile {
  path: string
  text: string
}

/**
 * Layers from the bottom to the top (design, section "Layout"). A unit may import itself and the units of lower layers; units of
 * one layer are siblings and don't import each other.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['model'],
  ['config', 'telemetry'],
  ['codec'],
  ['kafka', 'storage'],
  ['producer', 'sinks', 'worker/source', 'worker/assemble', 'worker/process', 'worker/deliver'],
  ['worker', 'gateway', 'explorer', 'audit'],
  ['local'],
  ['cli'],
]

/** What the package exports: the only files that may pass on what others declare. */
const PACKAGE_ENTRIES = ['src/index.ts', 'src/producer/index.ts']

/** Only these may read the configuration; everything else gets its options passed in. */
const READERS_OF_CONFIG = /^src\/(config|cli)\/|^src\/worker\/[^/]+\.ts$/

/** Asks the configuration which names there are, and for nothing else. */
const READER_OF_NAMES = 'src/producer/unknown-names.ts'

const statementsFrom = (keyword: string) =>
  new RegExp(
    `^\\s*${keyword}[^'"\`;]*?\\bfrom\\s*['"]([^'"]+)['"]|^\\s*import\\s*['"]([^'"]+)['"]|\\bimport\\(\\s*['"]([^'"]+)['"]`,
    'gm',
  )
const IMPORT = statementsFrom('(?:import|export)\\b')
const VALUE_IMPORT = statementsFrom('(?:import|export)\\b(?!\\s+type\\b)')
const RE_EXPORT = /^\s*export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^'"`;]*?\bfrom\b/m

/** Every breach of the import rules, one line each, in the order of the files. */
export function findBreaches(files: readonly SourceFile[]): string[] {
  const paths = new Set(files.map((file) => file.path))
  const imports = new Map(files.map((file) => [file.path, importsOf(file, IMPORT)]))
  const breaches: string[] = []
  for (const file of files) {
    if (RE_EXPORT.test(file.text) && !PACKAGE_ENTRIES.includes(file.path)) {
      breaches.push(
        `${file.path}: passes on what another file exports; import it from there (barrels hide who needs what)`,
      )
    }
    for (const target of imports.get(file.path) ?? []) {
      if (!paths.has(target)) continue
      const reason = whyForbidden(file.path, target)
      if (reason !== undefined) breaches.push(`${file.path} imports ${target}: ${reason}`)
    }
  }
  // Types are gone at run time: two files may name each other's, two folders may not.
  const atRunTime = new Map(files.map((file) => [file.path, importsOf(file, VALUE_IMPORT)]))
  return [...breaches, ...findCycles(atRunTime), ...findCycles(foldersOf(imports))]
}

function importsOf(file: SourceFile, pattern: RegExp): string[] {
  const targets: string[] = []
  for (const match of file.text.matchAll(pattern)) {
    const specifier = match[1] ?? match[2] ?? match[3]
    if (specifier?.startsWith('.')) targets.push(posix.join(posix.dirname(file.path), specifier))
  }
  return targets
}

function whyForbidden(from: string, to: string): string | undefined {
  const isTest = from.endsWith('.test.ts')
  if (to.endsWith('.test.ts')) return 'nothing imports a test'
  if (!from.startsWith('src/')) return undefined
  if (!to.startsWith('src/')) return isTest ? undefined : 'src imports nothing outside src'
  const fromUnit = unitOf(from)
  const toUnit = unitOf(to)
  if (fromUnit === undefined || toUnit === undefined) return undefined
  if (toUnit === 'config' && !isTest && from !== READER_OF_NAMES && !READERS_OF_CONFIG.test(from)) {
    return 'only cli and worker.ts read the configuration; take options instead'
  }
  if (fromUnit === toUnit) return undefined
  const fromLayer = layerOf(fromUnit)
  const toLayer = layerOf(toUnit)
  if (fromLayer === undefined) return `src/${fromUnit} is in no layer; add it to scripts/import-rules.ts`
  if (toLayer === undefined) return `src/${toUnit} is in no layer; add it to scripts/import-rules.ts`
  if (toLayer === fromLayer) return `${fromUnit} and ${toUnit} are siblings; what both need lies below them`
  if (toLayer > fromLayer) return `${toUnit} lies above ${fromUnit}`
  return undefined
}

/** `worker/source` for the four steps, else the folder below src; undefined for the package entry. */
function unitOf(path: string): string | undefined {
  const [, folder, inner] = path.split('/')
  if (folder === undefined || folder.endsWith('.ts')) return undefined
  const nested = `${folder}/${inner}`
  return layerOf(nested) === undefined ? folder : nested
}

function layerOf(unit: string): number | undefined {
  const layer = LAYERS.findIndex((units) => units.includes(unit))
  return layer === -1 ? undefined : layer
}

/** The same imports between folders. */
function foldersOf(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const folders = new Map<string, Set<string>>()
  for (const [path, targets] of imports) {
    const folder = posix.dirname(path)
    const seen = folders.get(folder) ?? new Set()
    folders.set(folder, seen)
    for (const target of targets) if (posix.dirname(target) !== folder) seen.add(posix.dirname(target))
  }
  return new Map([...folders].map(([folder, targets]) => [folder, [...targets]]))
}

/** Cycles in a graph, each told once with its way. */
function findCycles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const trail: string[] = []
  const cycles: string[] = []
  const visit = (path: string) => {
    const start = trail.indexOf(path)
    if (start !== -1) {
      cycles.push(`cycle: ${[...trail.slice(start), path].join(' → ')}`)
      return
    }
    if (done.has(path)) return
    trail.push(path)
    for (const target of imports.get(path) ?? []) visit(target)
    trail.pop()
    done.add(path)
  }
  for (const path of imports.keys()) visit(path)
  return cycles
}
