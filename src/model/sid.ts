import { hostname } from 'node:os'
import { threadId } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { SiderealError } from './errors.ts'

const MAX_INDEX = 0xffff
const MAX_SID_BYTES = 256
/** Time (11), two octets (4), port (2) and the closing `2`. */
const TAIL_LENGTH = 18
/** Random byte, pid and index, before the `@`. */
const HEAD_LENGTH = 8
const TIME_LENGTH = 11
/** One generator of today's platform has these between the time and the IP, by a continued source line. */
const BLANKS = ' '.repeat(12)
/** A clock that stands still for so many reads is not one to wait for. */
const MAX_CLOCK_READS = 1_000_000
/** Odd, so that no two of 65,536 get one place; the golden ratio of 65,536, so that neighbours start far apart. */
const THREAD_STRIDE = 40_503
/** Odd too, and another one: a thread and a process do not take each other's place. */
const PROCESS_STRIDE = 25_033

export interface SidGeneratorOptions {
  /** Subsystem, for example `spf`. May be empty; no `@`. */
  sub: string
  /** Location, for example `hf`. May be empty. */
  location: string
  /** IPv4 address of the service; its last two octets go into the SID. */
  ip: string
  /** Port of the service; its first two digits go into the SID. */
  port: string | number
  /** Unix milliseconds. Default: the system clock. */
  nowMs?: () => number
  /** The generator's random byte, 0…255. Default: random. */
  randomByte?: number
  /** Default: the process's id. */
  pid?: number
  /** Default: the id of this worker thread, 0 in the main thread. */
  threadId?: number
  /** Name of this host, which is that of the container where there is one. Default: the system's. */
  host?: string
}

/**
 * Makes SIDs in the form of the source description (`SidGenerator2`):
 * `{sub}{random byte, 2 hex}{pid & 0xff, 2 hex}{index, 4 hex}@{location}{last 11 hex digits of the time in ms}{octets 3 and 4 of the
 * IP, 4 hex}{first two digits of the port}2`.
 *
 * No two SIDs of one generator are equal: the index counts within a millisecond, `next` waits for the following one when it is used
 * up, and the time in a SID never goes back, whatever the clock does.
 *
 * Worker threads share the pid, and processes of one host may share its last 8 bits; the random byte alone would be the same for one
 * pair in 256. So the index of each starts at a place of its own, told from the thread's id and the rest of the pid, and wraps. Containers of different
 * hosts may have one pid and one address, all of them: the places of each host begin elsewhere, told from its name.
 */
export class SidGenerator {
  readonly #prefix: string
  readonly #location: string
  readonly #suffix: string
  readonly #nowMs: () => number
  readonly #firstIndex: number
  #timeMs = -1
  /** SIDs of this millisecond before this one. */
  #count = 0

  /** @throws SiderealError `SIDEREAL_SID_INVALID` for a bad IP, a port under two digits, an `@` in `sub`, or parts that are too long */
  constructor(options: SidGeneratorOptions) {
    if (options.sub.includes('@'))
      throw invalid(`sub "${options.sub}" contains an "@", which ends it in a SID`)
    const randomByte = options.randomByte ?? Math.floor(Math.random() * 256)
    const pid = options.pid ?? process.pid
    this.#prefix = options.sub + hex(randomByte & 0xff, 2) + hex(pid & 0xff, 2)
    const thread = options.threadId ?? threadId
    const firstOfHost = crc32(options.host ?? hostname())
    this.#firstIndex = (firstOfHost + thread * THREAD_STRIDE + (pid >>> 8) * PROCESS_STRIDE) & MAX_INDEX
    this.#location = options.location
    this.#suffix = `${shortIp(options.ip)}${shortPort(options.port)}2`
    this.#nowMs = options.nowMs ?? Date.now
    const length = Buffer.byteLength(options.sub + options.location) + HEAD_LENGTH + 1 + TAIL_LENGTH
    if (length > MAX_SID_BYTES) {
      throw invalid(`sub and location make a SID of ${length} bytes; at most ${MAX_SID_BYTES} are allowed`)
    }
  }

  /** The next SID. */
  next(): string {
    const now = this.#nowMs()
    if (now > this.#timeMs) {
      this.#timeMs = now
      this.#count = 0
    } else if (this.#count < MAX_INDEX) {
      this.#count++
    } else {
      this.#timeMs = this.#nextMillisecond(now)
      this.#count = 0
    }
    const time = hex(this.#timeMs, TIME_LENGTH).slice(-TIME_LENGTH)
    const index = (this.#firstIndex + this.#count) & MAX_INDEX
    return `${this.#prefix}${hex(index, 4)}@${this.#location}${time}${this.#suffix}`
  }

  /** A clock that went back is not waited for: the millisecond after the last one is this generator's own all the same. */
  #nextMillisecond(now: number): number {
    let seen = now
    for (let reads = 0; seen === this.#timeMs && reads < MAX_CLOCK_READS; reads++) seen = this.#nowMs()
    return Math.max(seen, this.#timeMs + 1)
  }
}

/** Parts of a SID. */
export interface SidParts {
  sub: string
  /** Four hex digits: a random byte and `pid & 0xff` here, `pid & 0xff` in the Python original. */
  process: string
  index: number
  location: string
  /** The last 44 bits of the time in Unix milliseconds: the time itself until the year 2527. */
  timeMs: number
  /** Octets 3 and 4 of the IPv4 address. */
  ipTail: [number, number]
  /** First two digits of the port. */
  portHead: string
}

export type ParsedSid = ({ ok: true } & SidParts) | { ok: false; reason: string }

/**
 * Takes a SID apart. SIDs may have any form (a caller's own id, a trace id), so a failure is an answer and not an error.
 * `sub` and `location` may have any length, so parts are counted from the `@` and from the end.
 */
export function parseSid(sid: string): ParsedSid {
  const compact = withoutBlanks(sid)
  if (compact.length < HEAD_LENGTH + 1 + TAIL_LENGTH) return no(`only ${sid.length} characters`)
  const tail = compact.slice(-TAIL_LENGTH)
  const head = compact.slice(0, -TAIL_LENGTH)
  const tailMatch = /^([0-9a-f]{11})([0-9a-f]{2})([0-9a-f]{2})([0-9]{2})2$/.exec(tail)
  if (tailMatch === null)
    return no('the last 18 characters are not 11 + 4 hex digits, two digits of a port, and "2"')
  const headMatch = /^([^@]*)([0-9a-f]{4})([0-9a-f]{4})@(.*)$/s.exec(head)
  if (headMatch === null) return no('no "@" after 8 hex digits')
  return {
    ok: true,
    sub: headMatch[1]!,
    process: headMatch[2]!,
    index: Number.parseInt(headMatch[3]!, 16),
    location: headMatch[4]!,
    timeMs: Number.parseInt(tailMatch[1]!, 16),
    ipTail: [Number.parseInt(tailMatch[2]!, 16), Number.parseInt(tailMatch[3]!, 16)],
    portHead: tailMatch[4]!,
  }
}

function withoutBlanks(sid: string): string {
  const afterTime = TAIL_LENGTH - TIME_LENGTH
  const end = sid.length - afterTime
  const start = end - BLANKS.length
  return start >= 0 && sid.slice(start, end) === BLANKS ? sid.slice(0, start) + sid.slice(end) : sid
}

function no(reason: string): ParsedSid {
  return { ok: false, reason: `not a SID of the generator: ${reason}` }
}

function invalid(message: string): SiderealError {
  return new SiderealError('SIDEREAL_SID_INVALID', message)
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

function shortIp(ip: string): string {
  const octets = ip.split('.')
  const isValid =
    octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) <= 255)
  if (!isValid) throw invalid(`"${ip}" is not an IPv4 address such as 10.0.12.7, which a SID needs`)
  return hex(Number(octets[2]), 2) + hex(Number(octets[3]), 2)
}

function shortPort(port: string | number): string {
  const text = String(port)
  if (!/^\d{2,5}$/.test(text) || Number(text) > 65535) {
    throw invalid(`port "${text}" is not a port of at least two digits, which a SID needs`)
  }
  return text.slice(0, 2)
}
