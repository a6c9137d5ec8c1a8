import { incompatible, type Plan } from './avro/plan.ts'
import type { AvroType } from './avro/schema.ts'
import type { AvroOutput } from './avro-output.ts'
import { referenceWriter, type WriteReference } from './payload-references.ts'
import type { RecordType } from './record-type.ts'

/** What a record is rewritten at. Positions count from the start of its Avro value; cuts come in their order. */
export type Cut = ValueCut | BlockCut

/** A value over the limit, with the tag of its union in front. */
export interface ValueCut {
  readonly start: number
  readonly end: number
  /** Where its text begins; it ends at `end`. */
  readonly textStart: number
  /** Index of the branch for references beside it. */
  readonly referenceBranch: number
}

/** The head of a block that tells its size, which will be another one since a value is cut out of it: a block needs not tell it. */
export interface BlockCut {
  readonly start: number
  readonly end: number
  readonly itemCount: number
  readonly blockEnd: number
}

export function isValueCut(cut: Cut): cut is ValueCut {
  return 'textStart' in cut
}

/** What {@link LargeValueWalk.find} found in a record. Filled anew by each call. */
export class LargeValues {
  cuts: Cut[] = []
  /** Where SID and app id lie, from the start of the Avro value. */
  sidAt = 0
  sidLength = 0
  appAt = 0
  appLength = 0

  addValue(start: number, textStart: number, end: number, referenceBranch: number): void {
    this.#dropEnded(start)
    this.cuts.push({ start, end, textStart, referenceBranch })
  }

  addBlock(start: number, end: number, itemCount: number, blockEnd: number): void {
    this.#dropEnded(start)
    this.cuts.push({ start, end, itemCount, blockEnd })
  }

  /** A block that ended without a value to cut keeps its size. */
  #dropEnded(position: number): void {
    const { cuts } = this
    for (let last = cuts.at(-1); last !== undefined && !isValueCut(last); last = cuts.at(-1)) {
      if (last.blockEnd > position) return
      cuts.pop()
    }
  }

  end(sidAt: number, sidLength: number, appAt: number, appLength: number): void {
    this.#dropEnded(Number.POSITIVE_INFINITY)
    this.sidAt = sidAt
    this.sidLength = sidLength
    this.appAt = appAt
    this.appLength = appLength
  }
}

/** For the records of one writer schema. */
export interface LargeValueWalk {
  readonly type: RecordType
  /** Finds the strings that may be offloaded and have more bytes than `limitBytes`: those for which `inspect` says `hasLargeValue`. */
  find(bytes: Buffer, start: number, end: number, limitBytes: number, found: LargeValues): void
  /** Writes a reference as this schema has it. */
  writeReference: WriteReference
}

const plan: Plan = {
  enter:
    'F = found; limit = limitBytes; start = p; F.cuts = []; let sidAt = 0, sidLength = 0, appAt = 0, appLength = 0',
  fields: {
    sid: { string: (at, length) => `sidAt = ${at} - start; sidLength = ${length}` },
    app_id: { string: (at, length) => `appAt = ${at} - start; appLength = ${length}` },
  },
  leave: 'F.end(sidAt, sidLength, appAt, appLength)',
}

/** @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when a reference has no place in records of this writer */
export function compileLargeValueWalk(type: RecordType): LargeValueWalk {
  const writers = new Map<AvroType, WriteReference>()
  const find = type.compileWalk<LargeValueWalk['find']>({
    plan,
    parameters: ['limitBytes', 'found'],
    declarations: 'let F, limit = 0, start = 0',
    options: {
      offloadable: ({ tagAt, at, length, referenceBranch, reference }) => {
        if (!writers.has(reference)) writers.set(reference, referenceWriter(reference))
        if (writers.size > 1) throw incompatible('it has several records named PayloadReference')
        return `if (${length} > limit) F.addValue(${tagAt} - start, ${at} - start, ${at} - start + ${length}, ${referenceBranch})`
      },
      sizedBlock: ({ head, items, count, end }) =>
        `F.addBlock(${head} - start, ${items} - start, ${count}, ${end} - start)`,
    },
  })
  const [writeReference = noReference] = writers.values()
  return { type, find, writeReference }
}

function noReference(): never {
  throw new Error('a schema without references has no value that may be one')
}

/** Writes the record `[start, end)` of `bytes` with a reference in the place of each value that was cut, in their order. */
export function writeWithReferences(
  out: AvroOutput,
  bytes: Buffer,
  start: number,
  end: number,
  cuts: readonly Cut[],
  writeReference: (place: number) => void,
): void {
  let at = start
  let place = 0
  for (const cut of cuts) {
    out.raw(bytes, at, start + cut.start)
    if (isValueCut(cut)) {
      out.branch(cut.referenceBranch)
      writeReference(place++)
    } else out.count(cut.itemCount)
    at = start + cut.end
  }
  out.raw(bytes, at, end)
}
