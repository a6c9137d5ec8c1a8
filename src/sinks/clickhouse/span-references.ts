import type { PayloadReference } from '../../model/payload-reference.ts'
import type { ReferenceWriter } from './attribute-writer.ts'

/** Where in a span a payload reference lies. Those of a row stand in this order. */
export const PAYLOAD_LIST = { status: 0, attributes: 1, events: 2, links: 3 } as const
export type PayloadList = (typeof PAYLOAD_LIST)[keyof typeof PAYLOAD_LIST]

/** Payload references of one span, in whatever order a walk meets them. */
export class SpanReferences {
  /** Of the event or the link in its list. */
  place = 0
  /** The list whose values are being written. */
  list: PayloadList = PAYLOAD_LIST.attributes
  readonly #writer: ReferenceWriter
  readonly #found: { list: PayloadList; path: string; reference: PayloadReference }[] = []

  constructor(writer: ReferenceWriter) {
    this.#writer = writer
  }

  /** What the path of a payload in {@link list} begins with. */
  get prefix(): string {
    const { list } = this
    if (list === PAYLOAD_LIST.attributes) return 'attributes.'
    return `${list === PAYLOAD_LIST.events ? 'events' : 'links'}.${this.place}.attributes.`
  }

  add(path: string, reference: PayloadReference): void {
    this.#found.push({ list: this.list, path, reference })
  }

  /** Forgets those of a span that was left half read. */
  clear(): void {
    this.#found.length = 0
  }

  /** Ends the row of the span. */
  endRow(): void {
    const found = this.#found
    if (found.length === 0) return
    found.sort((one, other) => one.list - other.list)
    for (const { path, reference } of found) this.#writer.add(path, reference)
    this.#writer.endRow()
    found.length = 0
  }
}
