import { createRequire } from 'node:module'

/** What lies inside kafkajs is no interface: whoever touches it knows this version. */
const KNOWN_VERSION = '2.2.4'

/** `require` for kafkajs's own modules; `undefined` when its version is another than the one that we know inside. */
export function requireKafkajs(): NodeJS.Require | undefined {
  const require = createRequire(import.meta.url)
  const { version } = require('kafkajs/package.json') as { version: string }
  return version === KNOWN_VERSION ? require : undefined
}
