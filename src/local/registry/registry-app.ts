import Fastify, { type FastifyInstance } from 'fastify'
import { z } from 'zod'
import {
  COMPATIBILITY_LEVELS,
  type CompatibilityLevel,
  incompatibilities,
  isCompatibilityLevel,
} from './compatibility.ts'
import {
  configNotFound,
  invalidLevel,
  invalidSchema,
  invalidVersion,
  RegistryError,
} from './registry-errors.ts'
import type { RegisteredSchema, SchemaStore } from './schema-store.ts'

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
const BODY_LIMIT_BYTES = 4 * 1024 * 1024

const schemaBody = z.object({
  schema: z.string().max(BODY_LIMIT_BYTES),
  schemaType: z.string().optional(),
  references: z.array(z.unknown()).optional(),
})
const configBody = z.object({ compatibility: z.string() })

type SubjectRoute = { Params: { subject: string } }
type VersionRoute = { Params: { subject: string; version: string } }
type IdRoute = { Params: { id: string } }

/**
 * The part of Confluent's Schema Registry API that producers, consumers and curl use, for Avro without references:
 * subjects, versions, ids, lookup, compatibility check and configuration, with Confluent's error codes. For development.
 */
export function buildRegistryApp(store: SchemaStore): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    logger: false,
    routerOptions: { maxParamLength: 1_024 },
  })
  app.addContentTypeParser(
    [CONTENT_TYPE, 'application/vnd.schemaregistry+json', 'application/octet-stream'],
    { parseAs: 'string' },
    app.getDefaultJsonParser('error', 'ignore'),
  )
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('content-type', CONTENT_TYPE)
    return payload
  })
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof RegistryError) {
      return reply.code(error.status).send({ error_code: error.errorCode, message: error.message })
    }
    const status = statusOf(error)
    const message = status < 500 && error instanceof Error ? error.message : 'Error in the schema registry'
    if (status >= 500) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    return reply.code(status).send({ error_code: status >= 500 ? 50001 : status, message })
  })
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ error_code: 404, message: 'HTTP 404 Not Found' }),
  )

  app.get('/', async () => ({}))
  app.get('/mode', async () => ({ mode: 'READWRITE' }))
  addSchemaRoutes(app, store)
  addSubjectRoutes(app, store)
  addCompatibilityRoutes(app, store)
  addConfigRoutes(app, store)
  return app
}

function addSchemaRoutes(app: FastifyInstance, store: SchemaStore): void {
  app.get('/schemas/types', async () => ['AVRO'])
  app.get<IdRoute>('/schemas/ids/:id', async ({ params }) => ({
    schema: store.schemaById(Number(params.id)),
  }))
  app.get<IdRoute>('/schemas/ids/:id/schema', async ({ params }, reply) =>
    reply.serializer(String).send(store.schemaById(Number(params.id))),
  )
  app.get<IdRoute>('/schemas/ids/:id/subjects', async ({ params }) =>
    store.usesOf(Number(params.id)).map(({ subject }) => subject),
  )
  app.get<IdRoute>('/schemas/ids/:id/versions', async ({ params }) =>
    store.usesOf(Number(params.id)).map(({ subject, version }) => ({ subject, version })),
  )
}

function addSubjectRoutes(app: FastifyInstance, store: SchemaStore): void {
  app.get('/subjects', async () => store.subjects())
  app.get<SubjectRoute>('/subjects/:subject/versions', async ({ params }) =>
    store.versions(params.subject).map(({ version }) => version),
  )
  app.get<VersionRoute>('/subjects/:subject/versions/:version', async ({ params }) =>
    store.version(params.subject, readVersion(params.version)),
  )
  app.get<VersionRoute>('/subjects/:subject/versions/:version/schema', async ({ params }, reply) =>
    reply.serializer(String).send(store.version(params.subject, readVersion(params.version)).schema),
  )
  app.post<SubjectRoute>('/subjects/:subject', async ({ params, body }) =>
    store.lookup(params.subject, readSchema(body)),
  )
  app.post<SubjectRoute>('/subjects/:subject/versions', async ({ params, body }) => ({
    id: store.register(params.subject, readSchema(body)).id,
  }))
}

function addCompatibilityRoutes(app: FastifyInstance, store: SchemaStore): void {
  const check = (subject: string, schema: string, against: readonly RegisteredSchema[]) => {
    const messages = incompatibilities(store.level(subject), schema, against)
    return { is_compatible: messages.length === 0, messages }
  }
  app.post<SubjectRoute>('/compatibility/subjects/:subject/versions', async ({ params, body }) =>
    check(params.subject, readSchema(body), store.versions(params.subject)),
  )
  app.post<VersionRoute>('/compatibility/subjects/:subject/versions/:version', async ({ params, body }) =>
    check(params.subject, readSchema(body), [store.version(params.subject, readVersion(params.version))]),
  )
}

function addConfigRoutes(app: FastifyInstance, store: SchemaStore): void {
  app.get('/config', async () => ({ compatibilityLevel: store.globalLevel() }))
  app.put('/config', async ({ body }) => {
    const level = readLevel(body)
    store.setLevel(undefined, level)
    return { compatibility: level }
  })
  app.get<SubjectRoute & { Querystring: { defaultToGlobal?: string } }>(
    '/config/:subject',
    async ({ params, query }) => {
      const level =
        query.defaultToGlobal === 'true' ? store.level(params.subject) : store.ownLevel(params.subject)
      if (level === undefined) throw configNotFound(params.subject)
      return { compatibilityLevel: level }
    },
  )
  app.put<SubjectRoute>('/config/:subject', async ({ params, body }) => {
    const level = readLevel(body)
    store.setLevel(params.subject, level)
    return { compatibility: level }
  })
  app.delete<SubjectRoute>('/config/:subject', async ({ params }) => {
    const level = store.ownLevel(params.subject)
    if (level === undefined) throw configNotFound(params.subject)
    store.setLevel(params.subject, null)
    return { compatibility: level }
  })
}

function readVersion(text: string): number | 'latest' {
  if (text === 'latest' || text === '-1') return 'latest'
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalidVersion(text)
  return Number(text)
}

function readSchema(body: unknown): string {
  const parsed = schemaBody.safeParse(body)
  if (!parsed.success) throw invalidSchema('the body must be an object with the schema as a string')
  const { schema, schemaType, references } = parsed.data
  if (schemaType !== undefined && schemaType !== 'AVRO')
    throw invalidSchema(`type ${schemaType} is not supported here, only AVRO`)
  if (references !== undefined && references.length > 0)
    throw invalidSchema('references are not supported here')
  return schema
}

function readLevel(body: unknown): CompatibilityLevel {
  const parsed = configBody.safeParse(body)
  const level = parsed.success ? parsed.data.compatibility.toUpperCase() : ''
  if (!isCompatibilityLevel(level))
    throw invalidLevel(`${level}' (one of ${COMPATIBILITY_LEVELS.join(', ')})`)
  return level
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return 500
  return typeof error.statusCode === 'number' ? error.statusCode : 500
}
