/** What a {@link Source} is told. Everything but topic and group has a default in {@link SOURCE_DEFAULTS}. */
export interface SourceOptions {
  readonly topic: string
  readonly groupId: string
  /**
   * Name of this process over restarts (a StatefulSet's pod name). Set: a dead predecessor of that name is removed from the group
   * at start, so that nobody waits for its session to end. Not set: a random one, and nobody is removed.
   */
  readonly instanceId?: string | undefined
  /** How long a silent worker keeps its partitions. */
  readonly sessionTimeoutMs?: number
  /** How long the group waits in a rebalance for its members. */
  readonly rebalanceTimeoutMs?: number
  /** At most a third of the session timeout. */
  readonly heartbeatMs?: number
  /** How long a fetch waits at the broker, and how long a paused consumer sleeps. */
  readonly maxWaitMs?: number
  readonly maxBytesPerPartition?: number
  /** Upper bound of one fetch over all partitions. */
  readonly maxBytes?: number
  /** What the records of one fetch may take in memory, unpacked. */
  readonly maxUnpackedBytes?: number
  /** The largest record batch that is read, unpacked: beyond it the source is lost. */
  readonly maxUnpackedBatchBytes?: number
  /** Age at which topic metadata is read anew: how soon new partitions are seen. */
  readonly metadataMaxAgeMs?: number
  readonly commitIntervalMs?: number
  /** While something settled has waited so long for its commit, {@link Source.mayDeliver} is false: a crash would repeat it all. */
  readonly maxUncommittedMs?: number
  /** How often handlers get `onTick`. */
  readonly tickMs?: number
  /** How often quiet partitions are asked for their end. */
  readonly quietPollMs?: number
  /** The broker's `offset.metadata.max.bytes`. */
  readonly maxLedgerCharacters?: number
  /**
   * `auto`: base64, and 14 bits a character where that is too long, until the broker refuses it. `base64`: for brokers that count
   * bytes.
   */
  readonly ledgerText?: 'auto' | 'base64'
  /** Silence of fetches after which the source counts as lost. */
  readonly fetchSilenceMs?: number
  /** For the checks at start: brokers, topic, its settings. */
  readonly startTimeoutMs?: number
  /** For leaving the group at the end; then the connection is cut. */
  readonly stopTimeoutMs?: number
}

export const SOURCE_DEFAULTS = {
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 60_000,
  heartbeatMs: 1_000,
  maxWaitMs: 250,
  maxBytesPerPartition: 1_048_576,
  maxBytes: 10_485_760,
  maxUnpackedBytes: 33_554_432,
  maxUnpackedBatchBytes: 134_217_728,
  metadataMaxAgeMs: 60_000,
  commitIntervalMs: 1_000,
  maxUncommittedMs: 10_000,
  tickMs: 200,
  quietPollMs: 500,
  maxLedgerCharacters: 4_096,
  ledgerText: 'auto',
  fetchSilenceMs: 60_000,
  startTimeoutMs: 15_000,
  stopTimeoutMs: 4_000,
} as const satisfies Omit<Required<SourceOptions>, 'topic' | 'groupId' | 'instanceId'>

/** Options with every default filled in. */
export type SourceSettings = Required<Omit<SourceOptions, 'instanceId'>> & {
  readonly instanceId: string
  readonly isInstanceIdSet: boolean
}

/** `random` (0 to 1) names the process when no instance id is set. */
export function sourceSettings(options: SourceOptions, random: () => number): SourceSettings {
  const isInstanceIdSet = options.instanceId !== undefined && options.instanceId !== ''
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  return {
    ...SOURCE_DEFAULTS,
    ...(given as Pick<SourceOptions, 'topic' | 'groupId'>),
    instanceId: isInstanceIdSet ? options.instanceId! : randomName(random),
    isInstanceIdSet,
  }
}

function randomName(random: () => number): string {
  return Array.from({ length: 4 }, () =>
    Math.floor(random() * 0x1_0000)
      .toString(16)
      .padStart(4, '0'),
  ).join('')
}
