import { SiderealError } from './errors.ts'
import { PayloadReference } from './payload-reference.ts'

/*
 * Where a reference stands in a row: the path, key of the column `payload_refs`. The rule, shared by every feeder and reader:
 *
 * - A path is relative to its row, in the snake_case names of the wire schema, parts joined by a dot, places counted from 0.
 *   spans:            attributes.<key>   events.<place>.attributes.<key>   links.<place>.attributes.<key>
 *                     resource.attributes.<key>   scope.attributes.<key>   status_message
 *   node_trace_logs:  question   answer   status.message   srv.<key>   srv_tag.<key>   extra.<key>
 *   node_logs:        llm_output   data.input.<key>   data.output.<key>   data.config.<key>   logs.<place>   extra.<key>
 * - Inside a value: `.<place>` for the element of an array, `.<key>` for the entry of a key-value list.
 * - Keys stand as they are: dots in them are not escaped. A path is a label to look up, nothing parses it. When a key repeats,
 *   its path repeats, in the order of the record, as the key itself does in the attribute map.
 */

const TAIL = /^(\d{1,15}),(\d{1,15}),(\d{1,15}),([0-9a-f]{64}),(zstd|identity)$/

/**
 * The text form of a reference: `key#offset,length,size,sha256,encoding`. It is what stands in `payload_refs` and what
 * `sidereal payload get` takes. A cut value, which is stored nowhere, has an empty key. The preview is not in it.
 */
export function formatPayloadReference(reference: PayloadReference): string {
  const { key, offset, length, size, sha256, encoding } = reference
  return `${key ?? ''}#${offset},${length},${size},${sha256},${encoding}`
}

/**
 * The reference that a text names, with an empty preview. The key may hold any character, `#` included: the last `#` ends it.
 * Throws `SIDEREAL_RECORD_INVALID` for any other text.
 */
export function parsePayloadReference(text: string): PayloadReference {
  const end = text.lastIndexOf('#')
  const match = end < 0 ? null : TAIL.exec(text.slice(end + 1))
  if (match === null) {
    throw new SiderealError(
      'SIDEREAL_RECORD_INVALID',
      'Not a payload reference. It has the form key#offset,length,size,sha256,encoding: copy it whole from the column payload_refs.',
    )
  }
  const [, offset, length, size, sha256, encoding] = match
  return new PayloadReference({
    key: end === 0 ? null : text.slice(0, end),
    offset: Number(offset),
    length: Number(length),
    size: Number(size),
    sha256: sha256 ?? '',
    encoding: encoding === 'zstd' ? 'zstd' : 'identity',
    preview: '',
  })
}
