import type { Plan } from '../../codec/avro/plan.ts'
import type { Reader } from '../../codec/avro/readers.ts'
import { arrayValue, keyValueList, payloadReference } from '../../codec/model-readers.ts'
import { equalsText } from '../../codec/record-plans.ts'
import { TYPE_LETTERS } from './any-value-text.ts'
import { PAYLOAD_LIST, type PayloadList } from './span-references.ts'

/*
 * The walk from a SpanBatch's bytes to the columns of `spans`. The code calls the SpanBytes in `S`; `C` is its columns of attributes that are
 * being filled. docs/hot-path.md explains it with an example.
 */

/** Names in scope of the walk, beside those of the decoders. */
export const SPAN_BYTES_DECLARATIONS = 'let S'
/** Parameters of the walk, behind `b, p, e`. */
export const SPAN_BYTES_PARAMETERS = ['sink']

const letter = Object.fromEntries(
  Object.entries(TYPE_LETTERS).map(([type, text]) => [type, `letter = ${text.charCodeAt(0)}`]),
) as Record<keyof typeof TYPE_LETTERS, string>

/** A value without a form of its own here: read as an object, and written as the object feeder does once the key is known. */
function readAs(reader: Reader): Plan {
  const plan = reader.plan('value', { variable: () => 'unused' })
  return { ...plan, leave: `${plan.leave ?? ''}\nkind = 4` }
}

const anyValue: Record<string, Plan> = {
  null: { nothing: `C.values.pushEmpty(); ${letter.null}; kind = 3` },
  string: {
    string: (at, length) =>
      `C.values.pushUtf8(b, ${at}, ${at} + ${length}); ${letter.string}; kind = 1; first = ${at}; second = ${length}`,
  },
  long: { halves: `C.values.pushInteger(H, L); ${letter.int}; kind = 2; first = H; second = L` },
  double: {
    double: (at) => `value = b.readDoubleLE(${at}); C.pushDouble(value); ${letter.double}; kind = 3`,
  },
  boolean: {
    boolean: (it) => `value = ${it}; C.values.pushString(value ? 'true' : 'false'); ${letter.bool}; kind = 3`,
  },
  bytes: {
    string: (at, length) => `value = copyBytes(b, ${at}, ${length}); kind = 4`,
  },
  ArrayValue: readAs(arrayValue),
  KeyValueList: readAs(keyValueList),
  PayloadReference: readAs(payloadReference),
}

/**
 * A list of attributes into the columns `target`; `list` is what the path of a payload in them begins with. `leave` is code behind each, with key, kind and
 * value in variables.
 */
function attributes(target: string, list: PayloadList, leave = ''): Plan {
  return {
    call: {
      initial: '0',
      plan: () => ({
        enter: `let count = 0; const C = ${target}`,
        items: {
          enter:
            'let keyAt = 0, keyLength = 0, key = 0, letter = 0, kind = 0, first = 0, second = 0, value = null',
          fields: {
            key: {
              string: (at, length) =>
                `keyAt = ${at}; keyLength = ${length}; key = C.keys.pushBytes(b, ${at}, ${at} + ${length})`,
            },
            value: { branches: anyValue },
          },
          required: ['key', 'value'],
          leave: `if (kind === 4) letter = S.pushOther(C, ${list}, key, value)
${leave}
C.setLetter(count++, letter)`,
        },
        leave: 'C.endRow(count)',
      }),
    },
  }
}

/** As `isErrorSpan` says it: `error` true (or its text), or an integer `code` that is not 0. */
const spanAttributes = attributes(
  'S.attributes',
  PAYLOAD_LIST.attributes,
  `const role = S.known.roleOf(key)
if (role >= 0) { if (kind === 1) S.known.setText(role, first, second); else if (kind === 2) S.known.setInteger(role, first, second); else S.known.set(role, value) }
if (${equalsText('keyAt', 'keyLength', 'error')}) { if (value === true || (kind === 1 && ${equalsText('first', 'second', 'true')})) S.isError = true }
else if (${equalsText('keyAt', 'keyLength', 'code')} && kind === 2 && (first | second) !== 0) S.isError = true`,
)

function number(variable: string): Plan {
  return { number: (value) => `${variable} = ${value}` }
}

function text(variable: string): Plan {
  return { string: (at, length) => `${variable}At = ${at}; ${variable}Length = ${length}` }
}

function fixed(variable: string, size: number): Plan {
  return { fixed: { size, code: (at) => `${variable} = ${at}` } }
}

const event: Plan = {
  enter: 'let nameAt = 0, nameLength = 0, high = 0, low = 0, dropped = 0; if (count++ === 0) S.beginEvents()',
  fields: {
    time: { halves: 'high = H; low = L' },
    name: text('name'),
    attributes: attributes('S.eventAttributes', PAYLOAD_LIST.events),
    dropped_attributes_count: number('dropped'),
  },
  required: ['attributes'],
  leave: 'S.addEvent(b, nameAt, nameLength, high, low, dropped)',
}

const link: Plan = {
  enter:
    'let traceAt = 0, spanAt = 0, stateAt = 0, stateLength = 0, dropped = 0, flags = 0; if (count++ === 0) S.beginLinks()',
  fields: {
    trace_id: fixed('traceAt', 16),
    span_id: fixed('spanAt', 8),
    trace_state: text('state'),
    attributes: attributes('S.linkAttributes', PAYLOAD_LIST.links),
    dropped_attributes_count: number('dropped'),
    flags: number('flags'),
  },
  required: ['trace_id', 'span_id', 'attributes'],
  leave: 'S.addLink(b, traceAt, spanAt, stateAt, stateLength, dropped, flags)',
}

function listOf(items: Plan, leave: string): Plan {
  return {
    call: { initial: '0', plan: () => ({ enter: 'let count = 0', items, leave: `if (count > 0) ${leave}` }) },
  }
}

const readReference = payloadReference.plan('reference', { variable: () => 'unused' })
const statusReference: Plan = {
  ...readReference,
  enter: 'let reference',
  leave: `${readReference.leave ?? ''}\nS.addStatusReference(reference)`,
}

const span: Plan = {
  call: {
    initial: '0',
    plan: () => ({
      enter: `let traceAt = 0, spanAt = 0, parentAt = -1, nameAt = 0, nameLength = 0, messageAt = 0, messageLength = 0
let stateAt = 0, stateLength = 0, flags = 0, kind = 0, statusCode = 0, dropped = 0, droppedEvents = 0, droppedLinks = 0
let startHigh = 0, startLow = 0, endHigh = 0, endLow = 0
S.beginSpan()`,
      fields: {
        trace_id: fixed('traceAt', 16),
        span_id: fixed('spanAt', 8),
        parent_span_id: { branches: { null: {}, SpanId: fixed('parentAt', 8) } },
        flags: number('flags'),
        name: text('name'),
        kind: number('kind'),
        start_time: { halves: 'startHigh = H; startLow = L' },
        end_time: { halves: 'endHigh = H; endLow = L' },
        status_code: number('statusCode'),
        status_message: {
          branches: {
            string: text('message'),
            PayloadReference: statusReference,
          },
        },
        trace_state: text('state'),
        attributes: spanAttributes,
        dropped_attributes_count: number('dropped'),
        events: listOf(event, 'S.endEvents()'),
        dropped_events_count: number('droppedEvents'),
        links: listOf(link, 'S.endLinks()'),
        dropped_links_count: number('droppedLinks'),
      },
      required: ['trace_id', 'span_id', 'start_time', 'attributes'],
      leave: `S.addTimes(startHigh, startLow, endHigh, endLow)
S.addSpan(b, traceAt, spanAt, parentAt, nameAt, nameLength, kind, flags, statusCode, messageAt, messageLength, stateAt, stateLength)
if (dropped !== 0 || droppedEvents !== 0 || droppedLinks !== 0) S.addDropped(dropped, droppedEvents, droppedLinks)
S.endSpan()`,
    }),
  },
}

/** Entry with the parameters {@link SPAN_BYTES_PARAMETERS}. */
export const spanBytesPlan: Plan = {
  enter: `S = sink
let sidAt = 0, sidLength = 0, appAt = 0, appLength = 0, uidAt = 0, uidLength = 0, chatAt = 0, chatLength = 0, batchAt = 0
let resourceAt = 0, resourceEnd = 0, scopeAt = 0, scopeEnd = 0`,
  fields: {
    sid: text('sid'),
    app_id: text('app'),
    uid: text('uid'),
    chat_id: text('chat'),
    batch_id: fixed('batchAt', 16),
    resource: { enter: 'resourceAt = p', leave: 'resourceEnd = p' },
    scope: { enter: 'scopeAt = p', leave: 'scopeEnd = p' },
    spans: { items: span },
  },
  required: ['sid', 'batch_id', 'resource', 'scope', 'spans'],
  leave: `S.addIdentity(b, sidAt, sidLength, appAt, appLength, uidAt, uidLength, chatAt, chatLength, batchAt)
S.addShared(b, resourceAt, resourceEnd, scopeAt, scopeEnd)`,
}
