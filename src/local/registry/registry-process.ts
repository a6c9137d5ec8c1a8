import { parseArgs } from 'node:util'
import { buildRegistryApp } from './registry-app.ts'
import { SchemaStore } from './schema-store.ts'

// The development schema registry as a process of its own.
const { values } = parseArgs({ options: { port: { type: 'string' }, file: { type: 'string' } } })
if (values.port === undefined || values.file === undefined)
  throw new Error('usage: registry-process --port N --file PATH')

const app = buildRegistryApp(new SchemaStore(values.file))
process.once('SIGTERM', () => {
  app.close().finally(() => process.exit(0))
})
await app.listen({ host: '127.0.0.1', port: Number(values.port) })
