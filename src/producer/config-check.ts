import { COMPRESSIONS } from '../kafka/codecs.ts'
import { SiderealError } from '../model/errors.ts'
import { checkRules, isTextList } from './baggage-hosts.ts'
import type { TracingConfig } from './tracing-config.ts'

const KINDS: readonly string[] = ['otlp', 'file', 'console']

/**
 * Refuses at the start what would fail later: each request, each send, or without a word. The types say the same; a caller without them, or with a cast,
 * learns it here.
 * @throws SiderealError SIDEREAL_CONFIG_INVALID
 */
export function checkConfig(config: TracingConfig): void {
  const { kafka, compression, exporters, spool, baggageHosts, identityPeers } = config
  const { lingerMs, maxQueueBytes, maxQueueItems } = config
  if (kafka !== undefined && !isTextList(kafka.brokers))
    refuse('kafka.brokers is no list of host:port: give ["host:port"]')
  if (compression !== undefined && !COMPRESSIONS.includes(compression))
    refuse(`compression is none of ${COMPRESSIONS.join(', ')}`)
  for (const exporter of exporters ?? [])
    if (!KINDS.includes(exporter?.kind)) refuse(`exporters: the kind of one is none of ${KINDS.join(', ')}`)
  if (spool !== undefined && (typeof spool.folder !== 'string' || spool.folder === ''))
    refuse('spool.folder is no path of a folder')
  const limits = { lingerMs, maxQueueBytes, maxQueueItems }
  const numbers = { ...limits, 'spool.maxBytes': spool?.maxBytes, 'spool.afterMs': spool?.afterMs }
  // NaN (of a variable that is not set) would be no limit at all.
  for (const [name, value] of Object.entries(numbers))
    if (value !== undefined && !(value >= 0)) refuse(`${name} is no number from 0 on`)
  checkRules('baggageHosts', baggageHosts)
  checkRules('identityPeers', identityPeers)
}

function refuse(message: string): never {
  throw new SiderealError('SIDEREAL_CONFIG_INVALID', message)
}
