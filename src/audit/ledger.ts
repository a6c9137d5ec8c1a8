import { closeSync, createReadStream, fsyncSync, openSync, writeSync } from 'node:fs'
import { SiderealError } from '../model/errors.ts'
import type { LoadPlan } from './load-plan.ts'

/*
 * A ledger says what was sent: JSON lines, the first of which says which of two kinds it is.
 *
 * 1. The ledger of `sidereal load` holds identities; the content comes from the generator and the plan.
 *
 *      {"type":"load","version":1,"topic":"sidereal.traces.v1","plan":{"seed":1,"run":7,"startMs":…,"traces":1000,…}}
 *      {"type":"send","send":1,"records":[[0,0],[1,0],[0,1]]}          before the send: [trace number, record number] each
 *      {"type":"acknowledged","send":1,"at":[[3,120],[5,98],[3,121]]}  after it: [partition, offset] each, in the same order
 *      {"type":"failed","send":1,"reason":"…"}                         the send was rejected: its records may be there or not
 *
 *    Lines are fsync'd in order, so a killed load never sent what its ledger does not say. A send without an answer is uncertain.
 *
 * 2. A content ledger holds what an independent exporter in a service saw. Several files of it may be verified together: each service
 *    writes its own. Times are decimal texts of nanoseconds. Every field but those of the first line of each example may be left out,
 *    and is then not compared.
 *
 *      {"type":"content","version":1}
 *      {"type":"span","sid":"…","traceId":"32 hex","spanId":"16 hex",
 *       "parentSpanId":"16 hex" or null,"flags":257,"name":"…","kind":2,"startTimeNs":"…","endTimeNs":"…","statusCode":0,"statusMessage":TEXT,
 *       "appId":"…","uid":"…","chatId":"…","serviceName":"…","attributes":[["key",VALUE],…],
 *       "events":[{"timeNs":"…","name":"…","attributes":[["key",VALUE],…]}]}
 *      {"type":"log","sid":"…","logId":"32 hex","revision":0,"trace":[NODE,…],
 *       "appId":"…","uid":"…","chatId":"…","traceId":"32 hex" or null,"question":TEXT,"answer":TEXT,"startTimeMs":…,"endTimeMs":…,"durationMs":…,
 *       "firstFrameDurationMs":…,"status":{"code":0,"message":TEXT},"usage":USAGE,…}          names as in `NodeTraceLog` (model/)
 *
 *    `kind` is OTLP's number (internal 1, server 2, client 3, producer 4, consumer 5), not the OpenTelemetry API's.
 *    NODE  = {"id":"…","nodeId":"…","nodeType":"…","nextLogIds":["…"],"runningStatus":true,"llmOutput":TEXT,"logs":[TEXT],
 *             "data":{"input":[["key",VALUE],…],"output":[…],"config":[…],"usage":USAGE},…}    names as in `NodeLog`; {} is allowed
 *    USAGE = {"questionTokens":0,"promptTokens":0,"completionTokens":0,"totalTokens":0}
 *    TEXT  = "…" or {"digest":[bytes of UTF-8,"sha256 in hex"]} for a large one
 *    VALUE = {"string":TEXT} {"int":"decimal text"} {"double":"1.5, NaN, Infinity, -0 …"} {"bool":true} {"bytes":"base64"}
 *            {"array":[VALUE,…]} {"map":[["key",VALUE],…]} or null (unset)
 *    A record of a content ledger counts as acknowledged: the service flushed before it ended.
 */

/** [trace number, record number] */
export type RecordName = readonly [trace: number, record: number]
export type RecordPlace = readonly [partition: number, offset: number]

/** Writes the ledger of a load. Each line is on disk when the method returns. */
export class LedgerWriter {
  readonly #file: number
  #sends = 0

  /** Refuses a file that is there: a ledger belongs to one run. */
  constructor(path: string, header: { topic: string; plan: LoadPlan }) {
    try {
      this.#file = openSync(path, 'wx')
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new SiderealError(
        'SIDEREAL_LEDGER_INVALID',
        `The ledger ${path} cannot be made (${reason}). Name a file that does not exist yet.`,
        { cause },
      )
    }
    this.#write({ type: 'load', version: 1, ...header })
  }

  /** @returns the number that {@link acknowledged} or {@link failed} takes */
  sending(records: readonly RecordName[]): number {
    this.#sends += 1
    this.#write({ type: 'send', send: this.#sends, records })
    return this.#sends
  }

  acknowledged(send: number, at: readonly RecordPlace[]): void {
    this.#write({ type: 'acknowledged', send, at })
  }

  failed(send: number, reason: string): void {
    this.#write({ type: 'failed', send, reason })
  }

  close(): void {
    closeSync(this.#file)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #write(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written)
    fsyncSync(this.#file)
  }
}

export interface LedgerLine {
  readonly number: number
  /** With its line feed. */
  readonly byteLength: number
  readonly value: unknown
}

/**
 * The lines of a ledger, one at a time. A last line without its line feed is what a kill in the middle of a write leaves: it is left out,
 * and nothing was sent for it.
 */
export async function* readLedgerLines(path: string): AsyncGenerator<LedgerLine> {
  let rest: Buffer = Buffer.alloc(0)
  let number = 0
  for await (const chunk of chunksOf(path)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      number += 1
      yield {
        number,
        byteLength: end + 1 - start,
        value: parseLine(path, number, bytes.toString('utf8', start, end)),
      }
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
}

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 1024 * 1024 })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SiderealError(
      'SIDEREAL_LEDGER_INVALID',
      `The ledger ${path} cannot be read (${reason}). Check its path.`,
      { cause },
    )
  }
}

function parseLine(path: string, number: number, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw ledgerFault(path, number, 'is no JSON', cause)
  }
}

export function ledgerFault(path: string, number: number, what: string, cause?: unknown): SiderealError {
  return new SiderealError(
    'SIDEREAL_LEDGER_INVALID',
    `Line ${number} of the ledger ${path} ${what}. It is not a ledger, or it was damaged.`,
    { cause },
  )
}
