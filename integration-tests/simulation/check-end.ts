import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import { type CountingRecord, expectedTrace } from './expected-trace.ts'
import type { LogEntry, PartitionLog } from './kafka-log.ts'
import type { ProducedRecord } from './records.ts'
import { placeOf } from './sinks.ts'
import { differences, mergeFragments } from './trace-view.ts'
import type { World } from './world.ts'

type IsDone = (partition: number, entry: LogEntry) => boolean

class Broken extends Error {}

/** Throws what is wrong first. */
export function checkEnd(world: World, isDone: IsDone): void {
  const sorted = sortRecords(world, isDone)
  checkLosses(world, sorted.lost)
  checkDeadLetters(world)
  checkRows(world, sorted)
  checkTraces(world, sorted)
  checkBestEffort(world, sorted)
}

interface Placed {
  readonly partition: number
  readonly entry: LogEntry
  readonly record: ProducedRecord
}

interface Sorted {
  /** Must be in the tables. */
  readonly counting: readonly Placed[]
  /** May be there or not, in part or whole: deleted before they were read, or taken by an unclean election. */
  readonly optional: readonly Placed[]
  /** Deleted and not done. */
  readonly lost: readonly Placed[]
}

function sortRecords(world: World, isDone: IsDone): Sorted {
  const counting: Placed[] = []
  const optional: Placed[] = []
  const lost: Placed[] = []
  const repeated = repeatedRecords(world)
  for (const log of world.logs) {
    for (const entry of log.entries) {
      const { record, offset } = entry
      if (record === null) continue
      const placed = { partition: log.partition, entry, record }
      // Deleted: its rows may be those of its repetition, or of a later revision.
      const isDeleted = offset < log.start
      if (isDeleted && (repeated.has(record.id) || isLog(record))) optional.push(placed)
      else if (isDone(log.partition, entry)) {
        // What a bad deployment made a dead letter of may have left rows, before it or after it.
        if (record.mayEnd !== undefined && isLetter(world, placed)) optional.push(placed)
        else if (record.end === 'rows') counting.push(placed)
      } else if (isDeleted) {
        lost.push(placed)
        optional.push(placed)
      } else {
        throw new Broken(
          `lost: ${log.partition}/${offset} of ${record.sid} (${record.about}) has not come to its end`,
        )
      }
    }
    for (const entry of log.cut) {
      if (entry.record !== null) optional.push({ partition: log.partition, entry, record: entry.record })
    }
    checkCommitted(world, log)
  }
  return { counting, optional, lost }
}

function isLetter(world: World, { partition, entry }: Placed): boolean {
  return world.deadLetters.has(placeOf(partition, entry.offset, entry.appendTimeMs))
}

function isLog({ model }: ProducedRecord): boolean {
  return model !== null && !('spans' in model)
}

/** Ids of the records that were produced more than once; what is produced in a bad deployment is another object of the same id. */
function repeatedRecords(world: World): ReadonlySet<number> {
  const seen = new Set<number>()
  const repeated = new Set<number>()
  for (const { entries, cut } of world.logs) {
    for (const { record } of [...entries, ...cut]) {
      if (record === null) continue
      if (seen.has(record.id)) repeated.add(record.id)
      seen.add(record.id)
    }
  }
  return repeated
}

function checkCommitted(world: World, log: PartitionLog): void {
  const { offset } = world.group.row(log.partition)
  if (offset !== log.end && !(offset < 0 && log.end === log.start)) {
    throw new Broken(`partition ${log.partition} ends at ${log.end}, and ${offset} is committed`)
  }
}

/** What retention took unread is counted and told, where and how much. */
function checkLosses(world: World, lost: readonly Placed[]): void {
  const told = world.oracle.losses.reduce((sum, { count }) => sum + count, 0)
  const countedInAll = world.lives.reduce((sum, { state }) => sum + state.stats().lostByRetention, 0)
  if (told !== countedInAll)
    throw new Broken(`${told} records were told as lost by retention, ${countedInAll} counted`)
  for (const log of world.logs) {
    const countedFrom = world.oracle.unknownBelow.get(log.partition) ?? 0
    const offsets = lost
      .filter(({ partition, entry }) => partition === log.partition && entry.offset >= countedFrom)
      .map(({ entry }) => entry.offset)
    if (offsets.length === 0) continue
    const counted = world.oracle.losses
      .filter(({ partition, logStart }) => partition === log.partition && logStart > Math.min(...offsets))
      .reduce((sum, { count }) => sum + count, 0)
    if (counted < offsets.length) {
      throw new Broken(
        `retention took ${offsets.length} records of partition ${log.partition}, ${counted} were counted`,
      )
    }
  }
}

/** Dead letters hold what was produced, byte for byte, with the reason; and nothing else is there. */
function checkDeadLetters(world: World): void {
  const produced = new Map<string, ProducedRecord>()
  for (const { partition, entries, cut } of world.logs) {
    for (const { record, offset, appendTimeMs } of [...entries, ...cut]) {
      if (record !== null) produced.set(placeOf(partition, offset, appendTimeMs), record)
    }
  }
  for (const [place, { reason, record }] of world.deadLetters) {
    const original = produced.get(place)
    if (original === undefined) throw new Broken(`a dead letter of ${place}, where nothing was`)
    if (original.end !== reason && original.mayEnd !== reason)
      throw new Broken(`${place} should end as ${original.end}, and is a dead letter: ${reason}`)
    const isSame = isEqual(original.key, record.key) && isEqual(original.value, record.value)
    if (!isSame) throw new Broken(`the dead letter of ${place} holds other bytes`)
    for (const [name, value] of Object.entries(original.headers)) {
      if (String(record.headers[name]) !== value)
        throw new Broken(`the dead letter of ${place} lacks the header ${name}`)
    }
    if (record.headers[DEAD_LETTER_HEADERS.reason] === undefined) throw new Broken(`${place} has no reason`)
  }
}

function isEqual(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

/** The exact views: of each identity, what the newest record says, and nothing else. */
function checkRows(world: World, { counting, optional }: Sorted): void {
  const wanted = new Map<string, { version: bigint; contents: Set<string> }>()
  for (const { record, entry } of counting) {
    const version = versionOf(record, entry)
    for (const { table, key, content } of record.rows) {
      const held = wanted.get(`${table} ${key}`)
      if (held !== undefined && held.version > version) continue
      if (held?.version === version) held.contents.add(content)
      else wanted.set(`${table} ${key}`, { version, contents: new Set([content]) })
    }
  }
  const allowed = new Map<string, Set<string>>()
  const allow = ({ record, entry }: Placed): void => {
    const version = versionOf(record, entry)
    for (const { table, key, content } of record.rows) {
      const contents = allowed.get(`${table} ${key}`) ?? new Set()
      allowed.set(`${table} ${key}`, contents.add(`${version} ${content}`))
    }
  }
  for (const placed of optional) allow(placed)
  for (const placed of refusedOf(world)) allow(placed)
  let found = 0
  for (const [table, rows] of Object.entries(world.tables.rows)) {
    for (const [key, row] of rows) {
      const want = wanted.get(`${table} ${key}`)
      if (want !== undefined) found += 1
      if (want !== undefined && row.version === want.version && want.contents.has(row.content)) continue
      if (allowed.get(`${table} ${key}`)?.has(`${row.version} ${row.content}`) === true) continue
      const why =
        want === undefined
          ? 'was not produced'
          : `should be ${want.version} ${[...want.contents].join(' or ')}`
      throw new Broken(`the row ${key} of ${table} ${why}; it is ${row.version} ${row.content}`)
    }
  }
  if (found < wanted.size) throw new Broken(`${wanted.size - found} rows are missing`)
}

/** Of a refused log the rows of its nodes may stay: they are in another table. */
function refusedOf(world: World): Placed[] {
  if (world.options.tables !== 'clickhouse') return []
  return world.logs.flatMap(({ partition, entries, cut }) =>
    [...entries, ...cut].flatMap((entry) => {
      const { record } = entry
      if (record?.end !== 'refused') return []
      const rows = record.rows.filter(({ table }) => table === 'node_logs')
      return [{ partition, entry, record: { ...record, rows } }]
    }),
  )
}

function versionOf(record: ProducedRecord, entry: LogEntry): bigint {
  return (BigInt(record.revision) << 48n) + BigInt(entry.appendTimeMs)
}

/** The view `traces`: equal to what was produced, whatever the number and the overlap of fragments. */
function checkTraces(world: World, { counting, optional }: Sorted): void {
  const uncertain = new Set(optional.map(({ record }) => record.sid))
  const bySid = new Map<string, CountingRecord[]>()
  for (const { record, entry } of counting) {
    if (record.model === null) continue
    const records = bySid.get(record.sid) ?? []
    bySid.set(record.sid, records)
    records.push({ model: record.model, appendTimeMs: entry.appendTimeMs })
  }
  for (const sid of world.tables.fragments.keys()) {
    if (!bySid.has(sid) && !uncertain.has(sid))
      throw new Broken(`traces has ${sid}, of which nothing should be there`)
  }
  for (const [sid, records] of bySid) {
    if (uncertain.has(sid)) continue
    const fragments = [...(world.tables.fragments.get(sid)?.values() ?? [])].map(({ facts }) => facts)
    if (fragments.length === 0) throw new Broken(`traces lacks ${sid}`)
    const wrong = differences(expectedTrace(records), mergeFragments(fragments))
    if (wrong.length > 0) throw new Broken(`traces of ${sid}: ${wrong.join('; ')}`)
  }
}

/** Whoever was not killed has delivered to the best-effort sink what it settled, or said how much it lost. */
function checkBestEffort(world: World, { counting }: Sorted): void {
  const { hasBestEffort, bestEffortNeverAnswers } = world.options
  if (!hasBestEffort || bestEffortNeverAnswers || world.deaths > 0) return
  const missing = counting.filter(
    ({ partition, entry }) => !world.exported.has(placeOf(partition, entry.offset, entry.appendTimeMs)),
  ).length
  const counted = world.lives.reduce((sum, life) => sum + life.lostToBestEffort, 0)
  if (missing > counted)
    throw new Broken(`the best-effort sink lacks ${missing} records, and ${counted} were counted as lost`)
}
