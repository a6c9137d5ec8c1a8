/** Instruments the process: servers by a patch of `http`, calls by what `fetch` tells of itself. */
import { createRequire } from 'node:module'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
// A service writes: import { initTracing } from 'sidereal/producer'
import { initTracing } from '../../src/producer/index.ts'

export const tracing = initTracing()
registerInstrumentations({ instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation()] })
// The patch is made when `http` is required next. It is one of `Server.prototype`: express may have loaded `http` long before.
createRequire(import.meta.url)('node:http')
