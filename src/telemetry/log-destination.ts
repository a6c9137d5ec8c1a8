import { writeSync } from 'node:fs'

/** What is kept of lines that could not be written yet. */
const MAX_WAITING_BYTES = 256 * 1024

type Write = (fd: number, bytes: Buffer) => number

/**
 * Writes log lines to a file descriptor, at once and in order. A log that cannot be written (the disk is full, nobody empties the pipe)
 * is no reason to stop working: lines wait up to a bound, further ones are lost, and a line says how many once there is room.
 */
export class LogDestination {
  readonly #fd: number
  readonly #write: Write
  #waiting: Buffer = Buffer.alloc(0)
  #lost = 0
  #isClosed = false

  /** `write` as `fs.writeSync`: gives how many bytes were taken, throws what the system says. */
  constructor(fd: number, write: Write = writeSync) {
    this.#fd = fd
    this.#write = write
  }

  /** Lines that were lost since the last line that said so. */
  get lostLines(): number {
    return this.#lost
  }

  /** One whole line, as pino hands it over. Never throws, and waits only where the descriptor itself is a blocking one. */
  write(line: string): void {
    if (this.#isClosed) return
    const bytes = Buffer.from(line)
    if (this.#waiting.length === 0) {
      this.#waiting = bytes
      this.#flush()
      return
    }
    this.#flush()
    if (this.#waiting.length + bytes.length > MAX_WAITING_BYTES) {
      this.#lost += 1
      return
    }
    const notice = this.#lost > 0 && this.#waiting.length === 0 ? this.#notice() : ''
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(notice), bytes])
    this.#flush()
  }

  #flush(): void {
    try {
      while (this.#waiting.length > 0) {
        this.#waiting = this.#waiting.subarray(this.#write(this.#fd, this.#waiting))
      }
    } catch (error) {
      // Full or busy: the next line tries again. A reader that is gone does not come back.
      this.#isClosed = (error as NodeJS.ErrnoException).code === 'EPIPE'
    }
  }

  #notice(): string {
    const lost = this.#lost
    this.#lost = 0
    const fields = { level: 'warn', time: new Date().toISOString(), lost, msg: 'log lines were lost' }
    return `${JSON.stringify(fields)}\n`
  }
}
