import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where a worker may be told to log to. */
export interface LogPlace {
  readonly fd: number
  close(): void
}

/** A disk without room: the kernel's own device for it, which needs no mount. */
export async function openFullDisk(): Promise<LogPlace> {
  const fd = openSync('/dev/full', 'w')
  return { fd, close: () => closeSync(fd) }
}

/** A pipe that is full, and whose reader is there and does not read: what a log collector that hangs leaves. */
export async function openStuckPipe(): Promise<LogPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-log-'))
  const path = join(folder, 'log')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  const close = () => {
    closeSync(fd)
    rmSync(folder, { recursive: true, force: true })
  }
  for (let size = 4_096; size > 0; ) {
    try {
      writeSync(fd, Buffer.alloc(size, 0x2e))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
        close()
        throw error
      }
      size = Math.floor(size / 2)
    }
  }
  return { fd, close }
}
