import { randomBytes } from 'node:crypto'
import { generateTrace } from '../../src/audit/generator.ts'
import { type RecordSender, spanLine } from './records-for-tests.ts'

const PAYLOAD_BYTES = 1_000_000

/** A text of 1 MB that packs to a hundredth. */
export function compressibleText(index: number): string {
  return `payload ${index} of an agent that says the same again and again. `
    .repeat(17_000)
    .slice(0, PAYLOAD_BYTES)
}

/** A text of 1 MB that packs to three quarters. */
export function randomText(): string {
  return randomBytes((PAYLOAD_BYTES * 3) / 4).toString('base64')
}

/** Sends records of one span with one value of 1 MB each, as many in a batch as `batchBytes` allows. Gives the lines of a content ledger. */
export async function sendPayloads(
  sender: RecordSender,
  options: { count: number; text: (index: number) => string; bytesPerSend: number; seed: number },
): Promise<object[]> {
  const { count, text, bytesPerSend, seed } = options
  const lines: object[] = []
  const plan = {
    ...{ seed, run: seed, startMs: Date.now(), traces: count, spansPerTrace: 1 },
    ...{ payloadShare: 0, hasLogs: false, openShare: 0, oddTimeShare: 0 },
  }
  for (let index = 0; index < count; ) {
    const records: { key: Buffer; value: Buffer }[] = []
    for (let bytes = 0; bytes < bytesPerSend && index < count; index++) {
      const [record] = generateTrace(plan, index).records
      if (record?.kind !== 'spans') throw new Error('the plan has spans only')
      const { batch } = record
      const span = batch.spans[0]!
      span.attributes.push({ key: 'gen_ai.prompt', value: text(index) })
      lines.push(spanLine(batch, span))
      const value = sender.spanBatch(batch)
      bytes += value.length
      records.push({ key: Buffer.from(batch.sid), value })
    }
    await sender.send(records)
  }
  return lines
}
