import type { RecordHeader } from '../../codec/record-header.ts'
import type { RecordType } from '../../codec/record-type.ts'
import { BODY_START, readFrame } from '../../codec/wire.ts'
import { copyHeaders, type DeadLetterReason, type RecordHeaders } from '../../model/dead-letter.ts'
import type { PartitionCaps } from '../../model/dead-letter-cap.ts'
import { SiderealError } from '../../model/errors.ts'
import { type FirstArrival, readFirstArrival } from '../../model/first-arrival.ts'
import type { CloseReason } from '../../model/fragment.ts'
import { asError } from '../../model/retry.ts'
import type { SourceRecord, Task, TaskHandler } from '../../model/task.ts'
import type { AssemblyShared } from './assembly.ts'
import { ClosedFragment } from './closed-fragment.ts'
import type { OpenTrace } from './open-trace.ts'
import { TraceRecord } from './trace-record.ts'
import { TraceTable } from './trace-table.ts'

/** What is wrong with a record that can never become part of a trace. */
interface Fault {
  readonly reason: DeadLetterReason
  readonly stage: 'KEY_CONVERTER' | 'VALUE_CONVERTER'
  readonly schemaId: number | null
  readonly error: Error
}

/** Assembly of one partition: each record becomes part of an open trace, or a dead letter, or waits. */
export class TaskAssembler implements TaskHandler {
  readonly #task: Task
  readonly #shared: AssemblyShared
  readonly #table: TraceTable<TraceRecord>
  readonly #caps: PartitionCaps
  /** Taken from the records alone, so that it does not depend on how far the source is ahead. */
  #streamMs = 0
  /** The trace whose facts the collector holds, from the look that found it complete until it is handed on. */
  #collected: OpenTrace<TraceRecord> | null = null
  #accountedBytes = 0
  #accountedTraces = 0

  constructor(task: Task, shared: AssemblyShared) {
    this.#task = task
    this.#shared = shared
    this.#caps = shared.openCaps(task)
    this.#table = new TraceTable<TraceRecord>({
      rules: shared.rules,
      ...(shared.recentSids === undefined ? {} : { recentSids: shared.recentSids }),
      judge: (trace) => {
        this.#collect(trace)
        const completeness = shared.facts.completeness()
        // Only a trace that is complete is closed right now. Any other may get records first, or the collector another trace.
        if (completeness !== 'complete') this.#collected = null
        return completeness
      },
      onClose: (trace, reason) => this.#hand(trace, reason),
    })
  }

  /** Infinity = nothing to close. What a sink refuses would be held when it is closed: that gives no memory back. */
  get oldestMs(): number {
    return this.#caps.refused.isStopped ? Number.POSITIVE_INFINITY : this.#table.oldestMs
  }

  onRecord(record: SourceRecord): 'taken' | 'blocked' {
    const { refused } = this.#caps
    if (refused.isStopped) {
      refused.whenReleased(() => this.#task.unblock())
      return 'blocked'
    }
    this.#advanceTo(record.appendTimeMs)
    const answer = this.#take(record)
    this.#account()
    return answer
  }

  onSkipped(record: SourceRecord): void {
    this.#advanceTo(record.appendTimeMs)
    if (record.key !== null) this.#table.noteSettled(record.key.toString('utf8'))
    this.#shared.counters.recordsSkipped += 1
    this.#account()
  }

  onQuiet(clockMs: number): void {
    if (this.#caps.refused.isStopped) return
    this.#table.advance(clockMs)
    this.#account()
  }

  onTick(): void {
    this.#table.advance(this.#streamMs)
    this.#account()
    this.#shared.onTick()
  }

  onLost(): void {
    this.#table.clear((trace) => {
      for (const record of trace.records) this.#shared.slabs.release(record)
    })
    this.#account()
    this.#caps.close()
    this.#shared.forget(this)
  }

  /** For `memory_pressure`: false = there is nothing to close. */
  closeOldest(): boolean {
    if (this.#caps.refused.isStopped) return false
    const isClosed = this.#table.closeOldest()
    this.#account()
    return isClosed
  }

  #advanceTo(appendTimeMs: number): void {
    if (appendTimeMs < this.#streamMs) this.#shared.counters.recordsOutOfOrder += 1
    else this.#streamMs = appendTimeMs
    this.#table.advance(this.#streamMs)
  }

  #take(record: SourceRecord): 'taken' | 'blocked' {
    const { key, value } = record
    if (value === null) return this.#reject(record, valueFault('tombstone', null, 'the record has no value'))
    if (key === null)
      return this.#reject(
        record,
        keyFault('null_key', null, 'the record has no key; the key must be its SID'),
      )
    let schemaId: number
    try {
      schemaId = readFrame(value)
    } catch (error) {
      return this.#reject(record, valueFault('bad_frame', null, error))
    }
    const { schemas, header, counters, slabs } = this.#shared
    const type = schemas.lookUp(schemaId)
    if (type === undefined) {
      schemas.whenKnown(schemaId, () => this.#task.unblock())
      return 'blocked'
    }
    if (type instanceof SiderealError) {
      const reason = type.code === 'SIDEREAL_SCHEMA_UNKNOWN' ? 'schema_unknown' : 'schema_unusable'
      return this.#reject(record, valueFault(reason, schemaId, type))
    }
    try {
      type.inspect(value, BODY_START, value.length, header)
    } catch (error) {
      return this.#reject(record, valueFault('record_invalid', schemaId, error))
    }
    const { sid } = header
    if (!isKeyOf(key, value, header)) {
      return this.#reject(record, keyFault('key_mismatch', schemaId, "the record's key is not its SID"))
    }
    const stored = this.#recordOf(record, type, value.length)
    slabs.store(stored, value)
    this.#table.append(sid, stored, this.#streamMs)
    if (this.#caps.reading.isStopped) this.#caps.reading.release()
    counters.recordsConsumed += 1
    counters.recordBytesConsumed += value.length
    if (type.kind === 'spans') counters.spansConsumed += header.rowCount
    else counters.logsConsumed += header.rowCount
    return 'taken'
  }

  #recordOf(record: SourceRecord, type: RecordType, storedBytes: number): TraceRecord {
    const { offset, headers } = record
    return new TraceRecord(
      this.#task,
      offset,
      record.appendTimeMs,
      this.#firstArrival(record),
      type,
      this.#shared.header,
      storedBytes,
      isEmpty(headers) ? null : copyHeaders(headers),
    )
  }

  /** Where and when Kafka first took a replayed record: what its rows say, and never the clock that closes traces. */
  #firstArrival({ headers, appendTimeMs, offset }: SourceRecord): FirstArrival | undefined {
    const first = readFirstArrival(headers, appendTimeMs)
    if (first === undefined) return undefined
    const { counters, warnings } = this.#shared
    if (first !== 'invalid') {
      counters.recordsReplayed += 1
      return first
    }
    counters.replayHeadersIgnored += 1
    warnings.warn(
      'replay-headers',
      { topic: this.#task.topic, partition: this.#task.partition, offset },
      'the replay headers of a record are not valid or say a later time than the broker: it counts as a new record',
    )
    return undefined
  }

  #reject(record: SourceRecord, fault: Fault): 'taken' | 'blocked' {
    const { deadLetters, counters } = this.#shared
    const task = this.#task
    const { reading } = this.#caps
    const { offset } = record
    const { reason, error } = fault
    if (!reading.admit({ offset, reason, error }, offset, () => task.unblock())) return 'blocked'
    const isTaken = deadLetters.offer({
      topic: task.topic,
      partition: task.partition,
      offset,
      appendTimeMs: firstAppendTimeMs(record),
      key: record.key,
      value: record.value,
      headers: record.headers,
      ...fault,
      isWanted: () => task.isAlive,
      onStored: () => {
        task.settle([offset])
        counters.recordsSettled += 1
      },
    })
    if (!isTaken) {
      deadLetters.whenRoom(() => task.unblock())
      return 'blocked'
    }
    reading.note(offset)
    counters.recordsConsumed += 1
    counters.recordBytesConsumed += record.value?.length ?? 0
    return 'taken'
  }

  #collect(trace: OpenTrace<TraceRecord>): void {
    const { facts } = this.#shared
    facts.reset()
    for (const record of trace.records) {
      const start = record.start
      record.type.collect(
        record.memory,
        start + BODY_START,
        start + record.storedBytes,
        record.receivedAtMs,
        facts,
      )
    }
    this.#collected = trace
  }

  #hand(trace: OpenTrace<TraceRecord>, reason: CloseReason): void {
    const { facts, slabs, counters } = this.#shared
    // The look that found it complete has just collected it.
    if (this.#collected !== trace) this.#collect(trace)
    this.#collected = null
    counters.fragmentsClosed[reason] += 1
    this.#shared.onFragment(new ClosedFragment(this.#task, trace, reason, facts.build(), slabs))
  }

  /** Reports what the open traces hold to the sum over all tasks, which bounds it. */
  #account(): void {
    const { heldBytes, size } = this.#table
    const bytes = heldBytes - this.#accountedBytes
    const traces = size - this.#accountedTraces
    // Before the call: it may close traces of this very task, and come back here.
    this.#accountedBytes = heldBytes
    this.#accountedTraces = size
    this.#shared.account(bytes, traces)
  }
}

function firstAppendTimeMs({ headers, appendTimeMs }: SourceRecord): number {
  const first = readFirstArrival(headers, appendTimeMs)
  return first === undefined || first === 'invalid' ? appendTimeMs : first.appendTimeMs
}

function isKeyOf(key: Buffer, value: Buffer, { sidAt, sidLength }: RecordHeader): boolean {
  if (key.length !== sidLength) return false
  for (let i = 0; i < sidLength; i++) if (key[i] !== value[sidAt + i]) return false
  return true
}

function isEmpty(headers: RecordHeaders): boolean {
  for (const _ in headers) return false
  return true
}

function valueFault(reason: DeadLetterReason, schemaId: number | null, error: unknown): Fault {
  return { reason, stage: 'VALUE_CONVERTER', schemaId, error: faultError(error) }
}

function keyFault(reason: DeadLetterReason, schemaId: number | null, error: unknown): Fault {
  return { reason, stage: 'KEY_CONVERTER', schemaId, error: faultError(error) }
}

function faultError(error: unknown): Error {
  return typeof error === 'string' ? new SiderealError('SIDEREAL_RECORD_INVALID', error) : asError(error)
}
