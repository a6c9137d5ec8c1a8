/** What kafkajs's records have. */
interface FetchedRecord {
  readonly offset: string
  readonly isControlRecord: boolean
  /** The last offset of its batch, where that is known: compaction may have removed the record that had it. */
  readonly batchContext: { readonly producerId: string; readonly lastOffset?: number }
}

/** What kafkajs asks of each record: it belongs to no transaction. */
const NO_CONTEXT = { producerId: '-1', inTransaction: false }

/** The end of what a fetch brought, in the place of its records when none of them may be shown. It is no record. */
export class FetchedEnd {
  readonly key = null
  readonly value = null
  readonly isControlRecord = false
  readonly batchContext = NO_CONTEXT
  readonly offset: string

  constructor(offset: number) {
    this.offset = String(offset)
  }
}

/**
 * A fetch may bring nothing that is shown: control records, records of aborted transactions, and what compaction left of a batch before
 * the offset that was asked for. kafkajs 2.2.4 then goes on behind it by itself, whatever was sought meanwhile, and says where it ended but not where
 * it began: one of before a seek looks like a hole behind the seek. With this end in the place of its records it is handed over like any other.
 *
 * @param fetchedOffset the offset that was asked for; kafkajs drops what lies before it
 * @returns undefined where something is shown, or nothing came
 */
export function endOfHidden(
  messages: readonly FetchedRecord[],
  fetchedOffset: number,
): FetchedEnd | undefined {
  const last = messages.at(-1)
  if (last === undefined) return undefined
  // The last one is shown, nearly always.
  const isShown = (record: FetchedRecord) => !record.isControlRecord && Number(record.offset) >= fetchedOffset
  if (messages.findLast(isShown) !== undefined) return undefined
  return new FetchedEnd(Math.max(Number(last.offset), last.batchContext.lastOffset ?? 0, fetchedOffset))
}
