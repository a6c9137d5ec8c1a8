import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isProcessAlive } from './process-identity.ts'

/** Root of the clone: the folder that holds `package.json`. */
export const PROJECT_ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Everything that the local stack downloads or writes lies in here. Safe to delete when nothing is up. */
export const SIDEREAL_FOLDER = join(PROJECT_ROOT, '.sidereal')

const TEMPORARY_FOLDER = join(SIDEREAL_FOLDER, 'tmp')

/** Path of a script of ours beside this file that runs in a process of its own; `.ts` in a clone, `.js` once built. */
export function localScript(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url))
}

let temporaryFolders = 0

/** Makes a folder under `.sidereal/tmp` that the next start removes if this process dies without doing so. */
export function makeTemporaryFolder(prefix: string): string {
  removeAbandonedFolders()
  temporaryFolders += 1
  const folder = join(
    TEMPORARY_FOLDER,
    `${prefix}-${process.pid}-${Date.now().toString(36)}${temporaryFolders}`,
  )
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Removes folders of processes that are gone, which is what a kill -9 leaves. */
function removeAbandonedFolders(): void {
  mkdirSync(TEMPORARY_FOLDER, { recursive: true })
  for (const name of readdirSync(TEMPORARY_FOLDER)) {
    const owner = Number(/-(\d+)-[0-9a-z]+$/.exec(name)?.[1])
    if (Number.isInteger(owner) && !isProcessAlive(owner)) {
      rmSync(join(TEMPORARY_FOLDER, name), { recursive: true, force: true, maxRetries: 3 })
    }
  }
}
