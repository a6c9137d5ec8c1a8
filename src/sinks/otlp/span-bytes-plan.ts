import type { Plan } from '../../codec/avro/plan.ts'
import type { Reader } from '../../codec/avro/readers.ts'
import { arrayValue, keyValueList, payloadReference } from '../../codec/model-readers.ts'
import { equalsText } from '../../codec/record-plans.ts'

/*
 * The walk from a SpanBatch's bytes to the spans of OTLP. The code calls the SpanBytes in `S` and its ProtoOutput in `O`. Fields come in the
 * order of the writer, which protobuf allows.
 */

export const SPAN_BYTES_DECLARATIONS = 'let S, O'
/** Parameters of the walk, behind `b, p, e`. */
export const SPAN_BYTES_PARAMETERS = ['sink', 'output']

/** Attributes that each span gets from its record, unless it has them. */
export const IDENTITY_KEYS = ['sid', 'app_id', 'uid', 'chat_id'] as const

/** Arrays, lists and payload references are rare: read as an object, and written as the encoder of objects does once the key is known. */
function readAs(reader: Reader): Plan {
  return reader.plan('value', { variable: () => 'unused' })
}

const readReference = readAs(payloadReference)
const statusReference: Plan = {
  ...readReference,
  enter: 'let value',
  leave: `${readReference.leave ?? ''}\nmessage = S.takeStatus(value); messageAt = 0; messageLength = message.length`,
}

const anyValue: Record<string, Plan> = {
  null: { nothing: 'O.nullValue()' },
  string: { string: (at, length) => `O.stringValue(b, ${at}, ${length})` },
  long: { halves: 'O.intValue(H, L)' },
  double: { double: (at) => `O.doubleValue(b, ${at})` },
  boolean: { boolean: (it) => `O.boolValue(${it})` },
  bytes: { string: (at, length) => `O.bytesValue(b, ${at}, ${length})` },
  ArrayValue: readAs(arrayValue),
  KeyValueList: readAs(keyValueList),
  PayloadReference: readReference,
}

/** A list of attributes as the field `tag`; `onKey` is code that finds a key's position and length. */
function attributes(tag: number, onKey = (_at: string, _length: string) => ''): Plan {
  return {
    call: {
      initial: '0',
      plan: () => ({
        items: {
          enter: `const mark = O.begin(${tag}, 1); let keyAt = 0, keyLength = 0, value`,
          fields: {
            key: {
              string: (at, length) =>
                `O.text(0x0a, b, ${at}, ${length}); keyAt = ${at}; keyLength = ${length}\n${onKey(at, length)}`,
            },
            value: { branches: anyValue },
          },
          required: ['key', 'value'],
          leave: `if (value !== undefined) S.addNested(b, keyAt, keyLength, value)
O.end(mark, 1)`,
        },
        leave: `if (S.references.length > 0) S.addReferences(${tag})`,
      }),
    },
  }
}

const spanAttributes = attributes(0x4a, (at, length) =>
  IDENTITY_KEYS.map((key, place) => `if (${equalsText(at, length, key)}) S.ownKeys |= ${1 << place}`).join(
    '\nelse ',
  ),
)

function text(tag: number): Plan {
  return { string: (at, length) => `O.text(${tag}, b, ${at}, ${length})` }
}

function id(tag: number, size: number): Plan {
  return { fixed: { size, code: (at) => `O.id(${tag}, b, ${at}, ${size})` } }
}

function count(tag: number): Plan {
  return { number: (value) => `O.count(${tag}, ${value})` }
}

const event: Plan = {
  enter: 'const mark = O.begin(0x5a, 2)',
  fields: {
    time: { halves: 'O.time(0x09, H, L)' },
    name: text(0x12),
    attributes: attributes(0x1a),
    dropped_attributes_count: count(0x20),
  },
  leave: 'O.end(mark, 2)',
}

const link: Plan = {
  enter: 'const mark = O.begin(0x6a, 2)',
  fields: {
    trace_id: id(0x0a, 16),
    span_id: id(0x12, 8),
    trace_state: text(0x1a),
    attributes: attributes(0x22),
    dropped_attributes_count: count(0x28),
    flags: { number: (value) => `if (${value} !== 0) { O.byte(0x35); O.fixed32(${value}) }` },
  },
  required: ['trace_id', 'span_id'],
  leave: 'O.end(mark, 2)',
}

const span: Plan = {
  call: {
    initial: '0',
    plan: () => ({
      enter:
        'let message = b, messageAt = 0, messageLength = 0, statusCode = 0; S.ownKeys = 0; const mark = O.begin(0x12, 3)',
      fields: {
        trace_id: id(0x0a, 16),
        span_id: id(0x12, 8),
        parent_span_id: { branches: { null: {}, SpanId: id(0x22, 8) } },
        flags: {
          number: (value) => `if (${value} !== 0) { O.byte(0x85); O.byte(0x01); O.fixed32(${value}) }`,
        },
        name: text(0x2a),
        kind: { number: (value) => `O.enum(0x30, ${value})` },
        start_time: { halves: 'O.time(0x39, H, L)' },
        end_time: { halves: 'O.time(0x41, H, L)' },
        status_code: { number: (value) => `statusCode = ${value}` },
        status_message: {
          branches: {
            string: { string: (at, length) => `messageAt = ${at}; messageLength = ${length}` },
            PayloadReference: statusReference,
          },
        },
        trace_state: text(0x1a),
        attributes: spanAttributes,
        dropped_attributes_count: count(0x50),
        events: { call: { initial: '0', plan: () => ({ items: event }) } },
        dropped_events_count: count(0x60),
        links: { call: { initial: '0', plan: () => ({ items: link }) } },
        dropped_links_count: count(0x70),
      },
      required: ['trace_id', 'span_id'],
      leave: `if (message !== b) S.addStatusReference(0x4a)
S.addIdentity()
if (messageLength > 0 || statusCode !== 0) { const status = O.begin(0x7a, 1); O.text(0x12, message, messageAt, messageLength); O.enum(0x18, statusCode); O.end(status, 1) }
O.end(mark, 3)`,
    }),
  },
}

function identity(place: number): Plan {
  return { string: (at, length) => `S.setIdentity(${place}, b, ${at}, ${length})` }
}

/** Entry with the parameters {@link SPAN_BYTES_PARAMETERS}. The identity has to come before the spans. */
export const spanBytesPlan: Plan = {
  enter: 'S = sink; O = output; let resourceAt = 0, resourceEnd = 0, scopeAt = 0, scopeEnd = 0',
  fields: {
    ...Object.fromEntries(IDENTITY_KEYS.map((key, place) => [key, identity(place)])),
    resource: { enter: 'resourceAt = p', leave: 'resourceEnd = p' },
    scope: { enter: 'scopeAt = p', leave: 'scopeEnd = p' },
    spans: { items: span },
  },
  required: ['sid', 'resource', 'scope', 'spans'],
  leave: 'S.setShared(b, resourceAt, resourceEnd, scopeAt, scopeEnd)',
}
