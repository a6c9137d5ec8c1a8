import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'
import { SiderealError } from '../../model/errors.ts'
import { planRequest } from './scenario.ts'
import type { SentRequest } from './traffic.ts'

/**
 * Makes a ledger for `verify` of what a service's witness wrote down: each line gets the identity of its request. The SID is the one that the
 * entry answered, app, user and chat are those that the sender planned: a service that used others would be found out.
 */
export async function writeWitnessLedger(
  witnessFile: string,
  ledgerFile: string,
  requests: readonly SentRequest[],
): Promise<{ spans: number; logs: number }> {
  const byTrace = new Map(requests.map((request) => [request.traceId, request]))
  const counts = { spans: 0, logs: 0 }
  await copyWitness(witnessFile, ledgerFile, (line) => {
    const request = byTrace.get(line.traceId)
    if (request === undefined) {
      throw new SiderealError(
        'SIDEREAL_LEDGER_INVALID',
        `${witnessFile} has a ${line.type} of trace ${line.traceId}, which belongs to no request: the services do not share their context.`,
      )
    }
    const { appId, uid, chatId } = planRequest(request.index)
    if (line.type === 'span') counts.spans += 1
    else counts.logs += 1
    return { ...line, sid: request.sid, appId, uid, chatId }
  })
  return counts
}

/** A line of a witness, of which a ledger of it knows more. */
export interface WitnessLine {
  readonly type: string
  readonly traceId: string
  /** Of a log. */
  readonly logId?: string
}

/** Writes a content ledger of a witness's lines, each as `complete` gives it. */
export async function copyWitness(
  witnessFile: string,
  ledgerFile: string,
  complete: (line: WitnessLine) => object,
): Promise<void> {
  const output = createWriteStream(ledgerFile)
  output.write(`${JSON.stringify({ type: 'content', version: 1 })}\n`)
  for await (const text of createInterface({ input: createReadStream(witnessFile) }))
    output.write(`${JSON.stringify(complete(JSON.parse(text) as WitnessLine))}\n`)
  output.end()
  await finished(output)
}
