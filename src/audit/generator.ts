import type { NodeTraceLog } from '../model/node-trace-log.ts'
import type { SpanBatch } from '../model/span.ts'
import { generateLogs } from './generated-log.ts'
import { generateSpanBatches } from './generated-spans.ts'
import type { LoadPlan } from './load-plan.ts'
import { SeededRandom } from './seeded-random.ts'

export type GeneratedRecord =
  | { readonly kind: 'spans'; readonly batch: SpanBatch }
  | { readonly kind: 'log'; readonly log: NodeTraceLog }

export interface GeneratedIdentity {
  readonly sid: string
  readonly appId: string
  readonly uid: string
  readonly chatId: string
}

export interface GeneratedTrace {
  readonly index: number
  readonly sid: string
  /** In the order in which they are sent: logs come before their spans, which leave on timers. */
  readonly records: readonly GeneratedRecord[]
}

const APPS = ['app-travel', 'app-support', 'app-finance', 'app-office', 'app-tenant-5']
const MS_BETWEEN_TRACES = 2

/** Trace number `index` of a plan: always the same for the same plan, whatever was generated before. */
export function generateTrace(plan: LoadPlan, index: number): GeneratedTrace {
  const random = new SeededRandom(plan.seed, plan.run, index)
  const startMs = plan.startMs + index * MS_BETWEEN_TRACES
  const identity: GeneratedIdentity = {
    sid: sidOf(plan, index),
    appId: random.chance(0.02) ? '' : random.pick(APPS),
    uid: `user-${random.integer(1, 500)}`,
    chatId: `chat-${random.hex(4)}`,
  }
  const isOpen = random.chance(plan.openShare)
  const batches = generateSpanBatches(random, {
    identity,
    startNs: BigInt(startMs) * 1_000_000n,
    spans: plan.spansPerTrace,
    hasPayload: random.chance(plan.payloadShare),
    missing: isOpen ? random.pick(['parent', 'remote-parent'] as const) : 'nothing',
    hasTwoTraceIds: random.chance(0.05),
    otherAppId: random.chance(0.03) ? 'app-shared-tools' : undefined,
    hasOddTime: random.chance(plan.oddTimeShare),
  })
  const records: GeneratedRecord[] = batches.map((batch) => ({ kind: 'spans', batch }))
  const first = batches[0]?.spans[0]
  if (plan.hasLogs && first !== undefined) {
    const shape = {
      identity,
      startMs,
      traceId: first.traceId,
      spanId: first.spanId,
      hasPayload: random.chance(plan.payloadShare),
    }
    const logs = generateLogs(random, shape)
    records.unshift(...logs.map((log): GeneratedRecord => ({ kind: 'log', log })))
  }
  return { index, sid: identity.sid, records }
}

/** What the SIDs of a run begin with, and (but for one run in 65,536) no others. */
export function sidPrefixOf(plan: LoadPlan): string {
  return `sdl${hex(plan.run & 0xffff, 4)}`
}

/** In the form of `SidGenerator`: run, index and start time make it unlike that of any other run. */
function sidOf(plan: LoadPlan, index: number): string {
  const timeMs = plan.startMs + Math.floor(index / 0x10000)
  return `${sidPrefixOf(plan)}${hex(index & 0xffff, 4)}@ld${hex(timeMs, 11).slice(-11)}0a0c782`
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}
