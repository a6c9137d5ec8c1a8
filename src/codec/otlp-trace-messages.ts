import protobuf from 'protobufjs'

const field = (id: number, type: string) => ({ id, type })
const list = (id: number, type: string) => ({ id, type, rule: 'repeated' })

/** OTLP's trace messages (opentelemetry-proto 1.x), written down here so that what a receiver sees does not depend on our encoder. */
const DESCRIPTOR = {
  nested: {
    AnyValue: {
      oneofs: {
        value: {
          oneof: [
            'stringValue',
            'boolValue',
            'intValue',
            'doubleValue',
            'arrayValue',
            'kvlistValue',
            'bytesValue',
          ],
        },
      },
      fields: {
        stringValue: field(1, 'string'),
        boolValue: field(2, 'bool'),
        intValue: field(3, 'int64'),
        doubleValue: field(4, 'double'),
        arrayValue: field(5, 'ArrayValue'),
        kvlistValue: field(6, 'KeyValueList'),
        bytesValue: field(7, 'bytes'),
      },
    },
    ArrayValue: { fields: { values: list(1, 'AnyValue') } },
    KeyValueList: { fields: { values: list(1, 'KeyValue') } },
    KeyValue: { fields: { key: field(1, 'string'), value: field(2, 'AnyValue') } },
    EntityRef: {
      fields: {
        schemaUrl: field(1, 'string'),
        type: field(2, 'string'),
        idKeys: list(3, 'string'),
        descriptionKeys: list(4, 'string'),
      },
    },
    Resource: {
      fields: {
        attributes: list(1, 'KeyValue'),
        droppedAttributesCount: field(2, 'uint32'),
        entityRefs: list(3, 'EntityRef'),
      },
    },
    InstrumentationScope: {
      fields: {
        name: field(1, 'string'),
        version: field(2, 'string'),
        attributes: list(3, 'KeyValue'),
        droppedAttributesCount: field(4, 'uint32'),
      },
    },
    Event: {
      fields: {
        timeUnixNano: field(1, 'fixed64'),
        name: field(2, 'string'),
        attributes: list(3, 'KeyValue'),
        droppedAttributesCount: field(4, 'uint32'),
      },
    },
    Link: {
      fields: {
        traceId: field(1, 'bytes'),
        spanId: field(2, 'bytes'),
        traceState: field(3, 'string'),
        attributes: list(4, 'KeyValue'),
        droppedAttributesCount: field(5, 'uint32'),
        flags: field(6, 'fixed32'),
      },
    },
    Status: { fields: { message: field(2, 'string'), code: field(3, 'int32') } },
    Span: {
      fields: {
        traceId: field(1, 'bytes'),
        spanId: field(2, 'bytes'),
        traceState: field(3, 'string'),
        parentSpanId: field(4, 'bytes'),
        name: field(5, 'string'),
        kind: field(6, 'int32'),
        startTimeUnixNano: field(7, 'fixed64'),
        endTimeUnixNano: field(8, 'fixed64'),
        attributes: list(9, 'KeyValue'),
        droppedAttributesCount: field(10, 'uint32'),
        events: list(11, 'Event'),
        droppedEventsCount: field(12, 'uint32'),
        links: list(13, 'Link'),
        droppedLinksCount: field(14, 'uint32'),
        status: field(15, 'Status'),
        flags: field(16, 'fixed32'),
      },
    },
    ScopeSpans: {
      fields: {
        scope: field(1, 'InstrumentationScope'),
        spans: list(2, 'Span'),
        schemaUrl: field(3, 'string'),
      },
    },
    ResourceSpans: {
      fields: {
        resource: field(1, 'Resource'),
        scopeSpans: list(2, 'ScopeSpans'),
        schemaUrl: field(3, 'string'),
      },
    },
    ExportTraceServiceRequest: { fields: { resourceSpans: list(1, 'ResourceSpans') } },
    ExportTracePartialSuccess: {
      fields: { rejectedSpans: field(1, 'int64'), errorMessage: field(2, 'string') },
    },
    ExportTraceServiceResponse: { fields: { partialSuccess: field(1, 'ExportTracePartialSuccess') } },
  },
}

/** One `AnyValue` as received: at most one member is there. Integers are decimal text, as they may be over 2^53. */
export interface ReceivedValue {
  stringValue?: string
  boolValue?: boolean
  intValue?: string
  doubleValue?: number
  arrayValue?: { values: ReceivedValue[] }
  kvlistValue?: { values: ReceivedKeyValue[] }
  bytesValue?: Buffer
}

export interface ReceivedKeyValue {
  key: string
  value?: ReceivedValue
}

export interface ReceivedSpanFields {
  traceId: Buffer
  spanId: Buffer
  traceState: string
  parentSpanId: Buffer
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: ReceivedKeyValue[]
  droppedAttributesCount: number
  events: {
    timeUnixNano: string
    name: string
    attributes: ReceivedKeyValue[]
    droppedAttributesCount: number
  }[]
  droppedEventsCount: number
  links: {
    traceId: Buffer
    spanId: Buffer
    traceState: string
    attributes: ReceivedKeyValue[]
    droppedAttributesCount: number
    flags: number
  }[]
  droppedLinksCount: number
  status?: { message: string; code: number }
  flags: number
}

export interface ReceivedRequest {
  resourceSpans: {
    resource?: {
      attributes: ReceivedKeyValue[]
      droppedAttributesCount: number
      entityRefs: { schemaUrl: string; type: string; idKeys: string[]; descriptionKeys: string[] }[]
    }
    schemaUrl: string
    scopeSpans: {
      scope?: {
        name: string
        version: string
        attributes: ReceivedKeyValue[]
        droppedAttributesCount: number
      }
      schemaUrl: string
      spans: ReceivedSpanFields[]
    }[]
  }[]
}

/** Decodes `ExportTraceServiceRequest` and encodes its response. */
export class OtlpTraceMessages {
  readonly #request: protobuf.Type
  readonly #response: protobuf.Type

  constructor() {
    const root = protobuf.Root.fromJSON(DESCRIPTOR)
    this.#request = root.lookupType('ExportTraceServiceRequest')
    this.#response = root.lookupType('ExportTraceServiceResponse')
  }

  decodeRequest(bytes: Uint8Array): ReceivedRequest {
    const message: unknown = this.#request.toObject(this.#request.decode(toBuffer(bytes)), {
      longs: String,
      arrays: true,
      bytes: Buffer,
      defaults: false,
    })
    return fillDefaults(message as ReceivedRequest)
  }

  encodeResponse(partialSuccess?: { rejectedSpans: number; errorMessage: string }): Buffer {
    return Buffer.from(this.#response.encode(partialSuccess === undefined ? {} : { partialSuccess }).finish())
  }
}

/** protobufjs gives either all defaults, also in unions, or none: so those of plain fields are filled in here. */
function fillDefaults(request: ReceivedRequest): ReceivedRequest {
  return {
    resourceSpans: request.resourceSpans.map((resourceSpans) => ({
      ...withDefaults(resourceSpans, { schemaUrl: '' }),
      scopeSpans: resourceSpans.scopeSpans.map((scopeSpans) => ({
        ...withDefaults(scopeSpans, { schemaUrl: '' }),
        spans: scopeSpans.spans.map((span) => ({
          ...withDefaults(span, SPAN_DEFAULTS),
          events: span.events.map((event) => withDefaults(event, EVENT_DEFAULTS)),
          links: span.links.map((link) => withDefaults(link, LINK_DEFAULTS)),
        })),
      })),
    })),
  }
}

const EMPTY = Buffer.alloc(0)
const EVENT_DEFAULTS = { timeUnixNano: '0', name: '', droppedAttributesCount: 0 }
const LINK_DEFAULTS = { traceId: EMPTY, spanId: EMPTY, traceState: '', droppedAttributesCount: 0, flags: 0 }
const SPAN_DEFAULTS = {
  traceId: EMPTY,
  spanId: EMPTY,
  traceState: '',
  parentSpanId: EMPTY,
  name: '',
  kind: 0,
  startTimeUnixNano: '0',
  endTimeUnixNano: '0',
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
  flags: 0,
}

function withDefaults<T extends object>(message: T, defaults: Partial<T>): T {
  return { ...defaults, ...message }
}

/** protobufjs gives byte fields the class of what it read. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
