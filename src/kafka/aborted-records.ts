/** A transaction that was aborted, as a fetch names it: of all that reach into what it brought, in the order of their ends. */
interface AbortedTransaction {
  readonly producerId: string
  readonly firstOffset: string
}

/** What kafkajs's records have. */
interface FetchedRecord {
  readonly offset: string
  readonly key: Buffer | null
  readonly isControlRecord: boolean
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean }
}

/** One partition of a fetch, as kafkajs decodes it. */
export interface PartitionWithAborted {
  abortedTransactions?: readonly AbortedTransaction[] | null
  messages: FetchedRecord[]
}

/** Version int16, type int16: 0 is the end of an aborted transaction. */
const TYPE_AT = 2
const ABORT = 0

/**
 * Hides the records of aborted transactions. kafkajs 2.2.4 takes them for sorted by their first offset, and notices one a record: where
 * transactions overlap it hands out records that were never committed. Here they become control records, which kafkajs hands to nobody
 * and goes over; its own look finds nothing left to do.
 */
export function hideAborted(partition: PartitionWithAborted): void {
  const { abortedTransactions, messages } = partition
  if (abortedTransactions === undefined || abortedTransactions === null || abortedTransactions.length === 0)
    return
  const coming = abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
    .sort((a, b) => b.firstOffset - a.firstOffset)
  const aborted = new Set<string>()
  partition.messages = messages.map((message) => {
    const offset = Number(message.offset)
    for (let next = coming.at(-1); next !== undefined && next.firstOffset <= offset; next = coming.at(-1)) {
      aborted.add(next.producerId)
      coming.pop()
    }
    const { producerId, inTransaction } = message.batchContext
    if (message.isControlRecord) {
      if (isAbortMarker(message)) aborted.delete(producerId)
      return message
    }
    return inTransaction && aborted.has(producerId) ? hidden(message) : message
  })
  partition.abortedTransactions = []
}

function isAbortMarker({ key }: FetchedRecord): boolean {
  return key !== null && key.length >= TYPE_AT + 2 && key.readInt16BE(TYPE_AT) === ABORT
}

function hidden({ offset, key, batchContext }: FetchedRecord): FetchedRecord {
  return { offset, key, batchContext, isControlRecord: true }
}
