import { COMPRESSIONS } from '../kafka/codecs.ts'
import { SiderealError } from '../model/errors.ts'
import { checkRules, isTextList } from './baggage-hosts.ts'
import type { FurtherExporter } from './further-exporters.ts'
import type { TracingConfig } from './tracing-config.ts'

const KINDS: readonly string[] = ['otlp', 'file', 'console']
const PROTOCOLS: readonly string[] = ['grpc', 'http/protobuf']

/**
 * Refuses at the start what would fail later: each request, each send, or without a word. The types say the same; a caller without them, or with a cast,
 * learns it here.
 * @throws SiderealError SIDEREAL_CONFIG_INVALID
 */
export function checkConfig(config: TracingConfig): void {
  const { kafka, compression, exporters, spool, baggageHosts, identityPeers } = config
  const { serviceName, lingerMs, maxQueueBytes, maxQueueItems } = config
  if (kafka !== undefined && !isTextList(kafka.brokers))
    refuse('kafka.brokers is no list of host:port: give ["host:port"]')
  if (compression !== undefined && !COMPRESSIONS.includes(compression))
    refuse(`compression is none of ${COMPRESSIONS.join(', ')}`)
  if (!isText(serviceName)) refuse('serviceName is no name')
  for (const exporter of exporters ?? []) checkExporter(exporter)
  if (spool !== undefined && !isText(spool.folder)) refuse('spool.folder is no path of a folder')
  const limits = { lingerMs, maxQueueBytes, maxQueueItems }
  const numbers = { ...limits, 'spool.maxBytes': spool?.maxBytes, 'spool.afterMs': spool?.afterMs }
  // NaN (of a variable that is not set) would be no limit at all.
  for (const [name, value] of Object.entries(numbers))
    if (value !== undefined && !(value >= 0)) refuse(`${name} is no number from 0 on`)
  checkRules('baggageHosts', baggageHosts)
  checkRules('identityPeers', identityPeers)
}

function checkExporter(exporter: FurtherExporter): void {
  if (!KINDS.includes(exporter?.kind)) refuse(`exporters: the kind of one is none of ${KINDS.join(', ')}`)
  if (exporter.kind === 'file' && !isText(exporter.path)) refuse('exporters: the path of a file is none')
  if (exporter.kind !== 'otlp') return
  if (!PROTOCOLS.includes(exporter.protocol))
    refuse(`exporters: the protocol of an OTLP exporter is none of ${PROTOCOLS.join(', ')}`)
  if (!isText(exporter.url) || URL.parse(exporter.url) === null)
    refuse('exporters: the url of an OTLP exporter is none: give http://host:port')
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function refuse(message: string): never {
  throw new SiderealError('SIDEREAL_CONFIG_INVALID', message)
}
