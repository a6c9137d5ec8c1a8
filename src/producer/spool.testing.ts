import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Logger, silentLogger } from '../telemetry/logger.ts'
import { Spool, type SpooledRecord } from './spool.ts'
import type { NumberedRecord } from './spool-format.ts'

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidereal-spool-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const record = (number: number, bytes = 100): NumberedRecord => ({
  kind: number % 3 === 0 ? 'log' : 'spans',
  sid: `sid-${number}-大`,
  items: number % 3 === 0 ? 1 : 2,
  framed: Buffer.concat([Buffer.alloc(5), Buffer.alloc(bytes - 5, number)]),
  number,
})
export const records = (from: number, to: number, bytes?: number) =>
  Array.from({ length: to - from }, (_, i) => record(from + i, bytes))
export const asText = ({ kind, sid, items, framed }: NumberedRecord) =>
  `${kind} ${sid} ${items} ${framed.toString('hex')}`

export function openSpool(
  root: string,
  options: { maxBytes?: number; segmentBytes?: number; logger?: Logger } = {},
) {
  const lost: Record<string, number> = {}
  const recovered = { spans: 0, log: 0 }
  const spool = new Spool({
    root,
    logger: silentLogger,
    onRecovered: (kind, items) => {
      recovered[kind] += items
    },
    onLost: (kind, items, reason) => {
      lost[`${reason} ${kind}`] = (lost[`${reason} ${kind}`] ?? 0) + items
    },
    ...options,
  })
  return { spool, lost, recovered }
}

export async function readAll(spool: Spool): Promise<SpooledRecord[]> {
  const all: SpooledRecord[] = []
  while (spool.hasUnread) all.push(...(await spool.read()))
  return all
}

/** The segments of a root, in all its folders. */
export const segmentsOf = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.spool'))
    .sort()
    .map((name) => join(root, name))

/** Leaves a spool behind with a segment a record. */
export async function writeSegments(root: string, numbers: readonly number[]): Promise<string[]> {
  const { spool } = openSpool(root, { segmentBytes: 1 })
  for (const number of numbers) await spool.append([record(number)], 0)
  await spool.close()
  return segmentsOf(root)
}
