import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import type { TracingConfig } from './tracing-config.ts'

/** Which process spans come from: what the service says goes before what can be found out, and its name before both. */
export function serviceResource({
  serviceName,
  resourceAttributes,
}: Pick<TracingConfig, 'serviceName' | 'resourceAttributes'>): Resource {
  const attributes = {
    'host.name': hostname(),
    'process.pid': process.pid,
    'service.instance.id': randomUUID(),
    ...resourceAttributes,
    'service.name': serviceName,
  }
  return defaultResource().merge(resourceFromAttributes(attributes))
}
