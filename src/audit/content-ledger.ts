import { open } from 'node:fs/promises'
import { z } from 'zod'
import { type AnyValue, KeyValueList } from '../model/any-value.ts'
import {
  type ExpectedKeyValue,
  type ExpectedRevision,
  type ExpectedSpan,
  type ExpectedTrace,
  type ExpectedValue,
  ValueDigest,
} from './expected.ts'
import { ledgerFault, readLedgerLines } from './ledger.ts'

/* The second kind of ledger; its lines are described in `ledger.ts`. */

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
const nanoseconds = z
  .string()
  .regex(/^-?\d{1,20}$/)
  .transform(BigInt)
const number = z.number()

const text = z.union([
  z.string(),
  z
    .object({ digest: z.tuple([z.number().int().min(0), hex(32)]) })
    .transform(({ digest }) => new ValueDigest(digest[0], digest[1])),
])

const doubleText = z
  .string()
  .refine((value) => value === 'NaN' || (value.trim() !== '' && !Number.isNaN(Number(value))))

const value: z.ZodType<ExpectedValue> = z.lazy(() =>
  z.union([
    z.null(),
    z.strictObject({ string: text }).transform((entry) => entry.string),
    z.strictObject({ int: z.string().regex(/^-?\d{1,19}$/) }).transform((entry) => BigInt(entry.int)),
    z.strictObject({ double: doubleText }).transform((entry) => Number(entry.double)),
    z.strictObject({ bool: z.boolean() }).transform((entry) => entry.bool),
    z
      .strictObject({ bytes: z.string() })
      .transform((entry) => new Uint8Array(Buffer.from(entry.bytes, 'base64'))),
    z.strictObject({ array: z.array(value) }).transform((entry) => entry.array.map(inner)),
    z
      .strictObject({ map: pairs() })
      .transform(
        (entry) => new KeyValueList(entry.map.map((pair) => ({ key: pair.key, value: inner(pair.value) }))),
      ),
  ]),
)

/** Digests stand for whole attributes only: a large text within an array or a map is written out. */
function inner(entry: ExpectedValue): AnyValue {
  if (entry instanceof ValueDigest) throw new Error('a digest inside an array or a map')
  return entry
}

function pairs() {
  return z.array(
    z.tuple([z.string(), value]).transform(([key, entry]): ExpectedKeyValue => ({ key, value: entry })),
  )
}

const identity = { appId: z.string(), uid: z.string(), chatId: z.string() }
const usage = z.object({
  questionTokens: number,
  promptTokens: number,
  completionTokens: number,
  totalTokens: number,
})

const spanFields = z
  .strictObject({
    ...identity,
    serviceName: z.string(),
    parentSpanId: hex(8).nullable(),
    flags: number,
    name: z.string(),
    kind: number,
    startTimeNs: nanoseconds,
    endTimeNs: nanoseconds,
    statusCode: number,
    statusMessage: text,
    attributes: pairs(),
    events: z.array(z.object({ timeNs: nanoseconds, name: z.string(), attributes: pairs().exactOptional() })),
  })
  .partial()

const nodeFields = z
  .strictObject({
    id: z.string(),
    nodeId: z.string(),
    nodeType: z.string(),
    nodeName: z.string(),
    funcId: z.string(),
    funcType: z.string(),
    funcName: z.string(),
    nextLogIds: z.array(z.string()),
    startTimeMs: number,
    endTimeMs: number,
    durationMs: number,
    firstFrameDurationMs: number,
    nodeFirstCostTime: number,
    llmOutput: text,
    runningStatus: z.boolean(),
    data: z.strictObject({ input: pairs(), output: pairs(), config: pairs(), usage }).partial(),
    logs: z.array(text),
    extra: pairs(),
  })
  .partial()

const logFields = z
  .strictObject({
    ...identity,
    traceId: hex(16).nullable(),
    spanId: hex(8).nullable(),
    serviceId: z.string(),
    flowId: z.string(),
    botId: z.string(),
    sub: z.string(),
    caller: z.string(),
    logCaller: z.string(),
    question: text,
    answer: text,
    startTimeMs: number,
    endTimeMs: number,
    durationMs: number,
    firstFrameDurationMs: number,
    srv: pairs(),
    srvTag: pairs(),
    status: z.object({ code: number, message: text }),
    usage,
    version: z.string(),
    extra: pairs(),
  })
  .partial()

const lineSchema = z.discriminatedUnion('type', [
  spanFields.extend({ type: z.literal('span'), sid: z.string().min(1), traceId: hex(16), spanId: hex(8) }),
  logFields.extend({
    type: z.literal('log'),
    sid: z.string().min(1),
    logId: hex(16),
    revision: z.number().int().min(0),
    trace: z.array(nodeFields),
  }),
])

const headerSchema = z.object({ type: z.literal('content'), version: z.literal(1) })

/** True when the first line says that the file is a content ledger. */
export async function isContentLedger(path: string): Promise<boolean> {
  for await (const { value: line } of readLedgerLines(path)) return headerSchema.safeParse(line).success
  return false
}

/**
 * The traces of several content ledgers. The lines of one SID may lie anywhere in them: a first pass notes where, so that memory grows
 * with the number of lines and not with what they hold.
 */
export class ContentLedger {
  readonly #paths: readonly string[]
  readonly #places: ReadonlyMap<string, readonly Place[]>

  private constructor(paths: readonly string[], places: ReadonlyMap<string, readonly Place[]>) {
    this.#paths = paths
    this.#places = places
  }

  static async read(paths: readonly string[]): Promise<ContentLedger> {
    const places = new Map<string, Place[]>()
    for (const [file, path] of paths.entries()) {
      let start = 0
      for await (const { number: line, value: content, byteLength } of readLedgerLines(path)) {
        const place = { file, line, start, byteLength }
        start += byteLength
        if (line === 1) {
          if (!headerSchema.safeParse(content).success)
            throw ledgerFault(path, line, 'is not the first line of a content ledger')
          continue
        }
        const parsed = lineSchema.safeParse(content)
        if (!parsed.success) {
          const issue = parsed.error.issues[0]
          throw ledgerFault(
            path,
            line,
            `is not a line of a content ledger (${issue?.path.join('.')}: ${issue?.message})`,
          )
        }
        const known = places.get(parsed.data.sid)
        if (known === undefined) places.set(parsed.data.sid, [place])
        else known.push(place)
      }
    }
    return new ContentLedger(paths, places)
  }

  /** Number of SIDs. */
  get traceCount(): number {
    return this.#places.size
  }

  async *traces(): AsyncGenerator<ExpectedTrace> {
    const files = await Promise.all(this.#paths.map((path) => open(path)))
    try {
      for (const [sid, places] of this.#places) {
        const spans: ExpectedSpan[] = []
        const revisions: ExpectedRevision[] = []
        for (const place of places) {
          const buffer = Buffer.alloc(place.byteLength)
          await files[place.file]!.read(buffer, 0, place.byteLength, place.start)
          const line = lineSchema.parse(JSON.parse(buffer.toString('utf8')))
          const origin = { isAcknowledged: true }
          if (line.type === 'span') spans.push({ ...line, origin })
          else revisions.push({ ...line, origin })
        }
        yield { sid, spans, revisions }
      }
    } finally {
      await Promise.all(files.map((file) => file.close()))
    }
  }
}

interface Place {
  readonly file: number
  readonly line: number
  readonly start: number
  readonly byteLength: number
}
