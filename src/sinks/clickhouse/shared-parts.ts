import type { KeyValue } from '../../model/any-value.ts'
import type { EntityRef, SpanBatch } from '../../model/span.ts'
import type { SPANS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { AttributeEncoder, type EncodedAttributes } from './attribute-writer.ts'
import type { BlockColumns } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import { uint32 } from './record-context.ts'

type SpanColumns = BlockColumns<typeof SPANS_COLUMNS>

/** A resource as the rows of one block take it. Texts are indexes of their dictionaries. */
export interface ResourcePart {
  readonly serviceName: number
  readonly serviceVersion: number
  readonly serviceNamespace: number
  readonly serviceInstanceId: number
  readonly deploymentEnvironment: number
  readonly attributes: EncodedAttributes
  readonly droppedAttributesCount: number
  readonly schemaUrl: number
  readonly entityRefs: number
}

/** The columns of a block that come from the resource of a span. */
export class ResourceColumns {
  readonly #columns: SpanColumns
  readonly #encoder: AttributeEncoder

  constructor(columns: SpanColumns, pool: ChunkPool) {
    this.#columns = columns
    this.#encoder = new AttributeEncoder(columns.resource_attributes, columns.resource_attribute_types, pool)
  }

  /** Valid until the block is reset. */
  encode({ attributes, droppedAttributesCount, schemaUrl, entityRefs }: SpanBatch['resource']): ResourcePart {
    const c = this.#columns
    return {
      serviceName: c.service_name.intern(firstText(attributes, 'service.name')),
      serviceVersion: c.service_version.intern(firstText(attributes, 'service.version')),
      serviceNamespace: c.service_namespace.intern(firstText(attributes, 'service.namespace')),
      serviceInstanceId: c.service_instance_id.intern(firstText(attributes, 'service.instance.id')),
      deploymentEnvironment: c.deployment_environment.intern(
        firstText(attributes, 'deployment.environment.name') ||
          firstText(attributes, 'deployment.environment'),
      ),
      attributes: this.#encoder.encode(attributes, 'resource.attributes.'),
      droppedAttributesCount: uint32(droppedAttributesCount),
      schemaUrl: c.resource_schema_url.intern(schemaUrl),
      entityRefs: c.resource_entity_refs.intern(entityRefsText(entityRefs)),
    }
  }

  /** Adds the part to `count` rows. */
  push(part: ResourcePart, count: number): void {
    const c = this.#columns
    c.service_name.pushTimes(part.serviceName, count)
    c.service_version.pushTimes(part.serviceVersion, count)
    c.service_namespace.pushTimes(part.serviceNamespace, count)
    c.service_instance_id.pushTimes(part.serviceInstanceId, count)
    c.deployment_environment.pushTimes(part.deploymentEnvironment, count)
    this.#encoder.push(part.attributes, count)
    c.resource_dropped_attributes_count.pushTimes(part.droppedAttributesCount, count)
    c.resource_schema_url.pushTimes(part.schemaUrl, count)
    c.resource_entity_refs.pushTimes(part.entityRefs, count)
  }
}

/** An instrumentation scope as the rows of one block take it. */
export interface ScopePart {
  readonly name: number
  readonly version: number
  readonly attributes: EncodedAttributes
  readonly droppedAttributesCount: number
  readonly schemaUrl: number
}

/** The columns of a block that come from the instrumentation scope of a span. */
export class ScopeColumns {
  readonly #columns: SpanColumns
  readonly #encoder: AttributeEncoder

  constructor(columns: SpanColumns, pool: ChunkPool) {
    this.#columns = columns
    this.#encoder = new AttributeEncoder(columns.scope_attributes, columns.scope_attribute_types, pool)
  }

  /** Valid until the block is reset. */
  encode({ name, version, attributes, droppedAttributesCount, schemaUrl }: SpanBatch['scope']): ScopePart {
    const c = this.#columns
    return {
      name: c.scope_name.intern(name),
      version: c.scope_version.intern(version),
      attributes: this.#encoder.encode(attributes, 'scope.attributes.'),
      droppedAttributesCount: uint32(droppedAttributesCount),
      schemaUrl: c.scope_schema_url.intern(schemaUrl),
    }
  }

  /** Adds the part to `count` rows. */
  push(part: ScopePart, count: number): void {
    const c = this.#columns
    c.scope_name.pushTimes(part.name, count)
    c.scope_version.pushTimes(part.version, count)
    this.#encoder.push(part.attributes, count)
    c.scope_dropped_attributes_count.pushTimes(part.droppedAttributesCount, count)
    c.scope_schema_url.pushTimes(part.schemaUrl, count)
  }
}

/** The first text of a key, as in the fragment's facts. */
function firstText(attributes: readonly KeyValue[], key: string): string {
  for (const attribute of attributes) {
    if (attribute.key === key && typeof attribute.value === 'string') return attribute.value
  }
  return ''
}

function entityRefsText(refs: readonly EntityRef[]): string {
  if (refs.length === 0) return ''
  return JSON.stringify(
    refs.map((ref) => ({
      schema_url: ref.schemaUrl,
      type: ref.type,
      id_keys: ref.idKeys,
      description_keys: ref.descriptionKeys,
    })),
  )
}
