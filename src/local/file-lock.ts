import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isProcessAlive } from './process-identity.ts'

const POLL_MS = 200
const UNREADABLE_AFTER_MS = 5_000

/** Runs `work` while no other process of this machine holds the lock file. A lock whose holder is dead is taken over. */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true })
  while (!tryTake(path)) {
    if (isAbandoned(path)) rmSync(path, { force: true })
    else await sleep(POLL_MS)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function tryTake(path: string): boolean {
  let file: number
  try {
    file = openSync(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  writeSync(file, String(process.pid))
  closeSync(file)
  return true
}

function isAbandoned(path: string): boolean {
  try {
    const holder = Number.parseInt(readFileSync(path, 'utf8'), 10)
    // Between the creation of the file and the writing of the pid it is empty for an instant.
    if (Number.isNaN(holder)) return Date.now() - statSync(path).mtimeMs > UNREADABLE_AFTER_MS
    return !isProcessAlive(holder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
