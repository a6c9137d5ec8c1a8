/** What was observed of a worker. Plain facts: whether they are good is decided in one place, {@link judgeHealth}. */
export interface HealthFacts {
  /** The start checks have passed. */
  readonly hasStarted: boolean
  /** SIGTERM was received. */
  readonly isClosing: boolean
  /** Set once something has ended the worker: its one line. */
  readonly fatal: string | null
  /** Since the source joined the group and knows its partitions; it may own none. */
  readonly isAssigned: boolean
  /** Since the event loop last ran its tick. */
  readonly loopAgeMs: number
  /** Since a fetch last came back from Kafka. */
  readonly fetchAgeMs: number
  readonly sinks: readonly SinkHealth[]
  /** Servers beside Kafka and the sinks without which work that is there cannot go on. */
  readonly servers: readonly ServerHealth[]
  /** Partitions that stand still, since too many of their records would become dead letters. */
  readonly stops: readonly PartitionStop[]
}

export interface ServerHealth {
  /** Which, and where. */
  readonly name: string
  /** Since work waits for it and it fails; 0 = none does. */
  readonly failingForMs: number
}

export interface PartitionStop {
  readonly partition: number
  /** The record at which it stands, and why that would be a dead letter. */
  readonly offset: number
  readonly reason: string
}

export interface SinkHealth {
  readonly name: string
  readonly isRequired: boolean
  /** Since writes began to fail without a success in between; 0 = they do not. */
  readonly failingForMs: number
}

export interface HealthLimits {
  /** The loop is stuck after that long without a tick. Default 10 s. */
  readonly maxLoopAgeMs: number
  /** Without a fetch for longer the worker is not ready. Default 30 s; the source ends the process by itself after 60 s. */
  readonly maxFetchAgeMs: number
  /** A required sink, or another server that work waits for, that fails for longer makes the worker not ready. Default 30 s. */
  readonly maxFailureMs: number
}

export const HEALTH_LIMITS: HealthLimits = {
  maxLoopAgeMs: 10_000,
  maxFetchAgeMs: 30_000,
  maxFailureMs: 30_000,
}

export interface Verdict {
  /** False = restart the process. An outage of a server is no reason: a restart does not mend it. */
  readonly isAlive: boolean
  readonly isReady: boolean
  /** What is wrong, one entry each; empty when ready. */
  readonly problems: readonly string[]
}

export function judgeHealth(facts: HealthFacts, limits: HealthLimits = HEALTH_LIMITS): Verdict {
  const deadly: string[] = []
  if (facts.fatal !== null) deadly.push(facts.fatal)
  if (facts.loopAgeMs > limits.maxLoopAgeMs)
    deadly.push(`the loop stands still for ${Math.round(facts.loopAgeMs)} ms`)
  const problems = [...deadly]
  if (!facts.hasStarted) problems.push('start checks have not passed yet')
  if (facts.isClosing) problems.push('shutting down')
  if (facts.hasStarted && !facts.isAssigned) problems.push('no assignment from the consumer group yet')
  if (facts.hasStarted && facts.fetchAgeMs > limits.maxFetchAgeMs) {
    problems.push(`no fetch has come back for ${Math.round(facts.fetchAgeMs / 1000)} s`)
  }
  for (const sink of facts.sinks) {
    if (sink.isRequired && sink.failingForMs > limits.maxFailureMs) {
      problems.push(`required sink ${sink.name} fails for ${Math.round(sink.failingForMs / 1000)} s`)
    }
  }
  for (const { name, failingForMs } of facts.servers) {
    if (failingForMs > limits.maxFailureMs)
      problems.push(`work waits for the ${name}, which fails for ${Math.round(failingForMs / 1000)} s`)
  }
  for (const { partition, offset, reason } of facts.stops) {
    problems.push(
      `SIDEREAL_DEAD_LETTER_CAP: partition ${partition} stands still at offset ${offset} (${reason}): too many of its records cannot be processed`,
    )
  }
  return { isAlive: deadly.length === 0, isReady: problems.length === 0, problems }
}
