import type { AddressInfo } from 'node:net'
import type { Express } from 'express'
// A service writes: import type { TracingService } from 'sidereal/producer'
import type { TracingService } from '../../src/producer/index.ts'

/** Serves on loopback until it is told to end; the last spans are sent before it does. */
export function listen(app: Express, port: number, tracing: TracingService): void {
  const server = app.listen(port, '127.0.0.1', (error?: Error) => {
    if (error !== undefined) throw error
    console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      server.close(async () => {
        if (!(await tracing.shutdown())) process.exitCode = 1
      })
    })
  }
}
