import { NO_DAY } from '../model/time.ts'
import type { Plan } from './avro/plan.ts'

/** Source of a test whether the `length` bytes at `at` are the given ASCII text. */
export function equalsText(at: string, length: string, text: string): string {
  const bytes = [...Buffer.from(text)].map((byte, index) => `b[${at} + ${index}] === ${byte}`)
  return `(${length} === ${bytes.length} && ${bytes.join(' && ')})`
}

/** Keeps position and length of a string in the variables `<name>At` and `<name>Length`. */
function span(name: string): Plan {
  return { string: (at, length) => `${name}At = ${at}; ${name}Length = ${length}` }
}

function declare(...names: string[]): string {
  return names.map((name) => `let ${name}At = 0, ${name}Length = 0`).join('\n')
}

function set(variable: string): Plan {
  return { number: (value) => `${variable} = ${value}` }
}

function halves(name: string): Plan {
  return { halves: `${name}High = H; ${name}Low = L` }
}

const ANY_VALUE_BRANCHES = [
  'null',
  'string',
  'long',
  'double',
  'boolean',
  'bytes',
  'ArrayValue',
  'KeyValueList',
  'PayloadReference',
] as const

// ------------------------------------------------------------------ inspect

/** Safe integers, whatever their logical type. */
const CHECKED_NUMBER: Plan = { number: () => '' }

/** A payload reference that decoding would refuse. */
export const INSPECTED_REFERENCE: Plan = {
  enter: 'hasReference = true',
  fields: {
    encoding: {
      string: (at, length) =>
        `if (!${equalsText(at, length, 'zstd')} && !${equalsText(at, length, 'identity')}) bad(p, 'a payload reference has an unknown encoding')`,
    },
    sha256: { fixed: { size: 32, code: () => '' } },
    offset: CHECKED_NUMBER,
    length: CHECKED_NUMBER,
    size: CHECKED_NUMBER,
  },
}

export const INSPECT_DECLARATIONS = 'let isLarge = false, hasReference = false, isReferenceShared = false'

/** The fields of an item that give it a day. */
export const SPAN_DAY: Plan['fields'] & {} = { start_time: { halves: 'v = dayOf(H, L)' } }

/** What every row of the record says again. */
const REPEATED: Plan = {
  enter: 'repeated -= p; hasReference = false',
  leave: 'repeated += p; if (hasReference) isReferenceShared = true',
}
const REPEATED_TEXT: Plan = { string: (_at, length) => `repeated += ${length}` }

/** Entry with the parameter `header`. `startField`: the field of a row that says its day, if rows have one. */
export function inspectPlan(idField: string, rowsField: string, startField: Plan['fields'] & {} = {}): Plan {
  return {
    required: ['sid', idField, rowsField],
    enter: `let sidAt = 0, sidLength = 0, idAt = 0, rows = 0, day = ${NO_DAY}, repeated = 0; isLarge = false; isReferenceShared = false`,
    fields: {
      sid: span('sid'),
      uid: REPEATED_TEXT,
      chat_id: REPEATED_TEXT,
      resource: REPEATED,
      scope: REPEATED,
      [idField]: { fixed: { size: 16, code: (at) => `idAt = ${at}` } },
      [rowsField]: {
        items: {
          call: { initial: `${NO_DAY}`, plan: () => ({ fields: startField }) },
          leave: `day = rows++ === 0 || day === r ? r : ${NO_DAY}`,
        },
      },
    },
    leave: `header.set(b, sidAt, sidLength, idAt, rows, isLarge, isReferenceShared ? ${NO_DAY} : day, repeated)`,
  }
}

/** `W` finds keys at the place that is being walked, `K` takes them; `start` is where the record began. */
export const WATCH_DECLARATIONS = 'let W = watch.keys, K, start = 0'

/** In the place of a KeyValue that is skipped otherwise. The key may stand behind the value. */
export const WATCHED_KEY_VALUE: Plan = {
  enter: 'let valueAt = 0, valueEnd = -1, keyAt = 0, keyLength = 0',
  fields: { key: span('key'), value: { enter: 'valueAt = p', leave: 'valueEnd = p' } },
  leave: `const found = W.find(b, keyAt, keyLength)
if (found >= 0 && valueEnd >= 0) K.add(found, valueAt - start, valueEnd - start)`,
}

/** The plan of an inspection that also finds watched keys. */
export function watchKeys(plan: Plan): Plan {
  const { resource } = plan.fields ?? {}
  return {
    ...plan,
    enter: `W = watch.keys; K = header.keyHits; K.clear(); start = p\n${plan.enter ?? ''}`,
    fields: {
      ...plan.fields,
      resource: {
        ...resource,
        enter: `W = watch.resourceKeys\n${resource?.enter ?? ''}`,
        leave: `${resource?.leave ?? ''}\nW = watch.keys`,
      },
    },
    leave: `${plan.leave ?? ''}\nheader.hasWatchedKey = K.count > 0`,
  }
}

// ------------------------------------------------------------------ collect

export const COLLECT_DECLARATIONS =
  'let F, serviceAt = 0, serviceLength = -1, isError = false, eventHigh = 0, eventLow = 0'

/** Attributes in a function of their own: `byKey` says what to do with the value of a key, whichever of the two comes first. */
function attributes(byKey: Record<string, string>): Plan {
  const branch = (name: string): Plan => {
    if (name === 'string') {
      return { string: (at, length) => `kind = 1; at = ${at}; length = ${length}` }
    }
    if (name === 'long') return { halves: 'kind = 2; isSet = (H | L) !== 0' }
    if (name === 'boolean') return { boolean: (value) => `kind = 3; isSet = ${value}` }
    return {}
  }
  const keys = Object.keys(byKey)
  return {
    call: {
      initial: '0',
      plan: () => ({
        items: {
          enter: 'let key = 0, kind = 0, at = 0, length = 0, isSet = false',
          fields: {
            key: {
              string: (at, length) =>
                keys
                  .map((key, index) => `if (${equalsText(at, length, key)}) key = ${index + 1}`)
                  .join('; else '),
            },
            value: { branches: Object.fromEntries(ANY_VALUE_BRANCHES.map((name) => [name, branch(name)])) },
          },
          leave: keys.map((key, index) => `if (key === ${index + 1}) { ${byKey[key]} }`).join(' else '),
        },
      }),
    },
  }
}

const spanAttributes = attributes({
  error: `if ((kind === 3 && isSet) || (kind === 1 && ${equalsText('at', 'length', 'true')})) isError = true`,
  code: 'if (kind === 2 && isSet) isError = true',
})

const resourceAttributes = attributes({
  'service.name': 'if (kind === 1 && serviceLength < 0) { serviceAt = at; serviceLength = length }',
})

const events: Plan = {
  call: {
    initial: '0',
    plan: () => ({
      items: {
        fields: {
          time: { halves: 'if (eventHigh === 0 && isTimeInRange(H, L)) { eventHigh = H; eventLow = L }' },
          name: {
            string: (at, length) =>
              `if (${equalsText(at, length, 'ERROR')} || ${equalsText(at, length, 'exception')}) isError = true`,
          },
        },
      },
    }),
  },
}

const spanItem: Plan = {
  call: {
    initial: '0',
    plan: () => ({
      required: ['trace_id', 'span_id'],
      enter: `let traceAt = 0, spanAt = 0, parentAt = -1, flags = 0, statusCode = 0
let startHigh = 0, startLow = 0, endHigh = 0, endLow = 0
${declare('name')}
isError = false; eventHigh = 0; eventLow = 0`,
      fields: {
        trace_id: { fixed: { size: 16, code: (at) => `traceAt = ${at}` } },
        span_id: { fixed: { size: 8, code: (at) => `spanAt = ${at}` } },
        parent_span_id: {
          branches: { null: {}, SpanId: { fixed: { size: 8, code: (at) => `parentAt = ${at}` } } },
        },
        flags: set('flags'),
        name: span('name'),
        start_time: halves('start'),
        end_time: halves('end'),
        status_code: set('statusCode'),
        attributes: spanAttributes,
        events,
      },
      leave: `F.spans.add(b, traceAt, spanAt, parentAt, flags, nameAt, nameLength, startHigh, startLow, endHigh, endLow,
eventHigh, eventLow, isError || statusCode === 2, F.record)`,
    }),
  },
  leave: 'spans++',
}

/** Entry with the parameters `receivedAtMs` and `facts`. */
export const collectSpanBatchPlan: Plan = {
  enter: `let spans = 0
${declare('app', 'uid', 'chat')}
F = facts; serviceAt = 0; serviceLength = -1; F.spans.beginRecord()`,
  fields: {
    app_id: span('app'),
    uid: span('uid'),
    chat_id: span('chat'),
    resource: { fields: { attributes: resourceAttributes } },
    spans: { items: spanItem },
  },
  leave: `F.endBatch(b, appAt, appLength, uidAt, uidLength, chatAt, chatLength, serviceAt, Math.max(serviceLength, 0), receivedAtMs, spans)`,
}

const usage: Plan = {
  fields: {
    question_tokens: set('question'),
    prompt_tokens: set('prompt'),
    completion_tokens: set('completion'),
    total_tokens: set('total'),
  },
}
const USAGE_VARIABLES = 'let question = 0, prompt = 0, completion = 0, total = 0'

const nodeItem: Plan = {
  call: {
    initial: '0',
    plan: () => ({
      enter: `let startMs = 0, endMs = 0, isRunningWell = true
${declare('id', 'nodeId', 'type')}
${USAGE_VARIABLES}`,
      fields: {
        id: span('id'),
        node_id: span('nodeId'),
        node_type: span('type'),
        next_log_ids: { items: { string: (at, length) => `F.nodes.announce(${at}, ${length})` } },
        start_time: set('startMs'),
        end_time: set('endMs'),
        running_status: { boolean: (value) => `isRunningWell = ${value}` },
        data: { fields: { usage } },
      },
      leave: `F.nodes.addNode(idAt, idLength, nodeIdAt, nodeIdLength, typeAt, typeLength, startMs, endMs, isRunningWell,
question, prompt, completion, total)`,
    }),
  },
}

/** Entry with the parameters `receivedAtMs` and `facts`. */
export const collectNodeTraceLogPlan: Plan = {
  enter: `let logAt = 0, revision = 0, startMs = 0, endMs = 0, statusCode = 0
${declare('app', 'uid', 'chat', 'serviceId', 'sub')}
${USAGE_VARIABLES}
F = facts; F.nodes.beginLog()`,
  fields: {
    app_id: span('app'),
    uid: span('uid'),
    chat_id: span('chat'),
    log_id: { fixed: { size: 16, code: (at) => `logAt = ${at}` } },
    revision: set('revision'),
    service_id: span('serviceId'),
    sub: span('sub'),
    start_time: set('startMs'),
    end_time: set('endMs'),
    status: { fields: { code: set('statusCode') } },
    usage,
    trace: { items: nodeItem },
  },
  leave: `const isNamed = serviceIdLength > 0
F.endLog(b, logAt, appAt, appLength, uidAt, uidLength, chatAt, chatLength, isNamed ? serviceIdAt : subAt, isNamed ? serviceIdLength : subLength,
revision, receivedAtMs, statusCode, startMs, endMs, question, prompt, completion, total)`,
}
