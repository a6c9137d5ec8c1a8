import type { RecordKind } from './delivery-counts.ts'

export interface SchemaIdsOptions {
  /** The id of a kind's newest schema. */
  readonly fetch: (kind: RecordKind) => Promise<number>
  readonly onFetched: () => void
  readonly onFailed: (error: unknown) => void
}

/** The ids under which the registry has the schemas of records: asked for when one is needed first, one at a time, and then known. */
export class SchemaIds {
  readonly #options: SchemaIdsOptions
  readonly #ids = new Map<RecordKind, number>()
  #isFetching = false

  constructor(options: SchemaIdsOptions) {
    this.#options = options
  }

  /** Undefined while it is not known; it is then being asked for. */
  of(kind: RecordKind): number | undefined {
    const id = this.#ids.get(kind)
    if (id === undefined) this.#fetch(kind)
    return id
  }

  #fetch(kind: RecordKind): void {
    if (this.#isFetching) return
    this.#isFetching = true
    const { fetch, onFetched, onFailed } = this.#options
    // Within a promise: what it throws at once is a failure like any other, and not an exception in the service.
    new Promise<number>((resolve) => resolve(fetch(kind))).then(
      (id) => {
        this.#ids.set(kind, id)
        this.#isFetching = false
        onFetched()
      },
      (error: unknown) => {
        this.#isFetching = false
        onFailed(error)
      },
    )
  }
}
