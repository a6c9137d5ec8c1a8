import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  type SpanLimits,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace'
import { type BaggageHostRules, isRule } from './baggage-hosts.ts'
import {
  booleanOf,
  contradictions,
  type Env,
  isWholeNumber,
  listOf,
  textOf,
  wholeNumber,
} from './env-texts.ts'
import { exportersFromEnv } from './exporter-env.ts'
import type { FurtherExporter } from './further-exporters.ts'
import type { IdentityPeerRules } from './inbound-identity.ts'

/** What the variables of OpenTelemetry and of the source have in common, and Sidereal's own for identities. */
export interface FamilySettings {
  readonly isDisabled?: boolean
  readonly lingerMs?: number
  readonly sampler?: Sampler
  readonly spanLimits?: SpanLimits
  readonly baggageHosts?: BaggageHostRules
  readonly identityPeers?: IdentityPeerRules
  readonly exporters?: readonly FurtherExporter[]
}

/** Of the queues of both families, which have no counterpart here. */
const QUEUE_SIZES: readonly string[] = [
  'OTEL_BSP_MAX_QUEUE_SIZE',
  'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
  'OTEL_BSP_EXPORT_TIMEOUT',
  'OTLP_TRACE_MAX_QUEUE_SIZE',
  'OTLP_TRACE_MAX_EXPORT_BATCH_SIZE',
  'OTLP_TRACE_EXPORT_TIMEOUT_MILLIS',
]
/** What context travels as, whatever is asked for. */
const PROPAGATORS: readonly string[] = ['tracecontext', 'baggage']
/** Names of one setting, the one that counts first. */
const SAME_SETTING: readonly (readonly string[])[] = [
  ['OTEL_SERVICE_NAME', 'SERVICE_NAME'],
  ['SIDEREAL_KAFKA_BROKERS', 'KAFKA_SERVERS'],
]
const LINGER = ['OTEL_BSP_SCHEDULE_DELAY', 'OTLP_TRACE_SCHEDULE_DELAY_MILLIS'] as const
const LIMITS = {
  eventCountLimit: ['OTEL_SPAN_EVENT_COUNT_LIMIT'],
  attributeCountLimit: ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'OTEL_ATTRIBUTE_COUNT_LIMIT'],
  attributeValueLengthLimit: ['OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', 'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT'],
  linkCountLimit: ['OTEL_SPAN_LINK_COUNT_LIMIT'],
  attributePerEventCountLimit: ['OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT'],
  attributePerLinkCountLimit: ['OTEL_LINK_ATTRIBUTE_COUNT_LIMIT'],
} as const satisfies Partial<Record<keyof SpanLimits, readonly string[]>>

/**
 * Reads both families. What contradicts itself, cannot be used, or has no effect is told in `problems`, one sentence each: no service fails for
 * its tracing.
 */
export function settingsFromFamilies(env: Env): { settings: FamilySettings; problems: string[] } {
  const problems = SAME_SETTING.flatMap((names) => contradictions(env, names))
  problems.push(...contradictions(env, ['SIDEREAL_PRODUCER_LINGER_MS', ...LINGER], isWholeNumber))
  const number = (...names: readonly string[]) => wholeNumber(env, names, problems)
  const lingerMs = number(...LINGER)
  const limits = Object.entries(LIMITS).map(([limit, names]) => [limit, number(...names)] as const)
  const spanLimits = Object.fromEntries(limits.filter(([, value]) => value !== undefined))
  const sampler = samplerOf(env, problems)
  const { exporters, problems: exporterProblems } = exportersFromEnv(env)
  problems.push(...exporterProblems, ...otherPropagators(env), ...queueSizes(env), ...ofSourceOnly(env))
  const isDisabled = booleanOf(env, 'OTEL_SDK_DISABLED', problems, false)
  // Whoever meant something else than false gets the safe one.
  const isPublic = booleanOf(env, 'SIDEREAL_PRODUCER_PUBLIC_ENDPOINT', problems, true)
  const identityPeers = rulesOf(env, 'SIDEREAL_PRODUCER_IDENTITY_PEERS', problems)
  const baggageHosts = rulesOf(env, 'SIDEREAL_PRODUCER_BAGGAGE_HOSTS', problems)
  const settings: FamilySettings = {
    ...(isDisabled ? { isDisabled: true } : {}),
    ...(lingerMs === undefined ? {} : { lingerMs }),
    ...(sampler === undefined ? {} : { sampler }),
    ...(Object.keys(spanLimits).length === 0 ? {} : { spanLimits }),
    ...(exporters.length === 0 ? {} : { exporters }),
    ...(baggageHosts === undefined ? {} : { baggageHosts }),
    ...(identityPeers === undefined && !isPublic
      ? {}
      : { identityPeers: { ...identityPeers, publicEndpoint: isPublic } }),
  }
  return { settings, problems }
}

/** Whoever asks for another way of telling callees of a trace must learn that it is not gone. */
function otherPropagators(env: Env): string[] {
  const others = listOf(env, 'OTEL_PROPAGATORS').filter((name) => !PROPAGATORS.includes(name))
  return others.map(
    (name) => `OTEL_PROPAGATORS: ${name} does nothing, context travels as tracecontext and baggage`,
  )
}

function queueSizes(env: Env): string[] {
  const set = QUEUE_SIZES.filter((name) => textOf(env, name) !== undefined)
  return set.length === 0
    ? []
    : [`${set.join(', ')}: without effect, the queue for Kafka is bounded by SIDEREAL_PRODUCER_QUEUE_BYTES`]
}

/** Whoever comes from the source's library would look for the records elsewhere. */
function ofSourceOnly(env: Env): string[] {
  const problems: string[] = []
  if (textOf(env, 'KAFKA_TOPIC') !== undefined && textOf(env, 'SIDEREAL_TOPIC') === undefined)
    problems.push(
      'KAFKA_TOPIC: without effect, it names the topic of JSON logs; SIDEREAL_TOPIC names that of the records',
    )
  if (textOf(env, 'KAFKA_TIMEOUT') !== undefined)
    problems.push('KAFKA_TIMEOUT: without effect, nothing waits for Kafka but flush and shutdown')
  return problems
}

function samplerOf(env: Env, problems: string[]): Sampler | undefined {
  const name = textOf(env, 'OTEL_TRACES_SAMPLER')
  if (name === undefined) {
    if (textOf(env, 'OTEL_TRACES_SAMPLER_ARG') !== undefined)
      problems.push('OTEL_TRACES_SAMPLER_ARG: without effect, OTEL_TRACES_SAMPLER is not set')
    return undefined
  }
  const [, parentBased, kind = ''] = /^(parentbased_)?(.*)$/.exec(name) ?? []
  if (kind !== 'traceidratio' && textOf(env, 'OTEL_TRACES_SAMPLER_ARG') !== undefined)
    problems.push(`OTEL_TRACES_SAMPLER_ARG: without effect, OTEL_TRACES_SAMPLER is ${name}`)
  const root = rootSampler(kind, env, problems)
  if (root !== undefined) return parentBased === undefined ? root : new ParentBasedSampler({ root })
  problems.push(`OTEL_TRACES_SAMPLER is none of OpenTelemetry's samplers: parentbased_always_on is used`)
  return undefined
}

function rootSampler(kind: string, env: Env, problems: string[]): Sampler | undefined {
  if (kind === 'always_on') return new AlwaysOnSampler()
  if (kind === 'always_off') return new AlwaysOffSampler()
  if (kind !== 'traceidratio') return undefined
  const text = textOf(env, 'OTEL_TRACES_SAMPLER_ARG') ?? '1'
  const ratio = Number(text)
  if (ratio >= 0 && ratio <= 1) return new TraceIdRatioBasedSampler(ratio)
  problems.push('OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1: all are sampled')
  return new AlwaysOnSampler()
}

/** A name, an address or a network each, separated by commas. */
function rulesOf(env: Env, prefix: string, problems: string[]): BaggageHostRules | undefined {
  const [allow, deny] = [`${prefix}_ALLOW`, `${prefix}_DENY`].map((name) => {
    const rules = listOf(env, name)
    for (const rule of rules.filter((one) => !isRule(one)))
      problems.push(`${name}: ${rule} is no network such as 10.1.0.0/16: it is left out`)
    return rules.filter(isRule)
  }) as [string[], string[]]
  return allow.length + deny.length === 0 ? undefined : { allow, deny }
}
