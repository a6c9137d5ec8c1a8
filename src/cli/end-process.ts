import { garbageCollector } from '../worker/collect-garbage.ts'

/**
 * Ends the process. `process.exit` of Node 24 waits for V8's threads, and one of them that compiles may be waiting for the main thread to collect
 * garbage: then neither goes on, and the process stays for ever (nodejs/node#54918; seen once here). So the collection comes first.
 */
export function endProcess(code: number): never {
  garbageCollector()(true)
  process.exit(code)
}
