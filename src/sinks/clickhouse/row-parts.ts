import type { FragmentRecord } from '../../model/fragment.ts'

/** Some of the rows of a record: places of its spans, or of its nodes. */
export interface RowRange {
  readonly from: number
  readonly to: number
}

/** Records whose rows are made and held together. */
export interface RowPart {
  readonly records: readonly FragmentRecord[]
  /** Of a record that is alone in its part. Undefined = all rows. */
  readonly range: RowRange | undefined
}

/**
 * What the rows of a record take, about. A record says once what each of its rows says again: 500 spans of a service whose resource
 * has 20 KB are a record of 100 KB, and rows of 10 MB.
 */
export function rowBytes({ contentStart, contentEnd, repeatedBytes, rowCount }: FragmentRecord): number {
  return contentEnd - contentStart + repeatedBytes * Math.max(0, rowCount - 1)
}

/** Deals records out to parts, in order, so that the rows of a part take no more than `maxBytes`, about. A record that takes more by itself is parted. */
export function* rowParts(records: readonly FragmentRecord[], maxBytes: number): Generator<RowPart> {
  let start = 0
  let bytes = 0
  for (let place = 0; place < records.length; place++) {
    const record = records[place]!
    const own = rowBytes(record)
    if (place > start && bytes + own > maxBytes) {
      yield { records: records.slice(start, place), range: undefined }
      start = place
      bytes = 0
    }
    if (own > maxBytes && record.rowCount > 1) {
      const step = Math.max(1, Math.floor((record.rowCount * maxBytes) / own))
      for (let from = 0; from < record.rowCount; from += step) {
        yield { records: [record], range: { from, to: Math.min(from + step, record.rowCount) } }
      }
      start = place + 1
    } else bytes += own
  }
  if (start === 0) yield { records, range: undefined }
  else if (start < records.length) yield { records: records.slice(start), range: undefined }
}
