import { createHash } from 'node:crypto'
import { SiderealError } from '../../model/errors.ts'
import { runCli } from './cli-process.ts'
import { finalAnswer, planRequest } from './scenario.ts'
import type { SentRequest } from './traffic.ts'

type Environment = Readonly<Record<string, string>>

const DATABASE = 'sidereal'
const PAYLOAD_LIMIT_BYTES = 5 * 1024

/** Queries that `--keep` offers; the first one is the trace list. */
export const QUERIES = [
  `SELECT sid, root_name AS root, status, toUInt32(span_count) AS spans, toUInt32(error_count) AS errors, toUInt32(node_count) AS nodes,
       toUInt64(total_tokens) AS tokens, round(duration_ns / 1e6, 1) AS ms
FROM traces_between(app = 'app-travel', from = now() - INTERVAL 1 HOUR, to = now())
ORDER BY start_time DESC LIMIT 8`,
  `SELECT node_type, count() AS runs, countIf(is_error) AS errors, round(quantile(0.95)(duration_ns) / 1e6, 1) AS p95_ms, sum(total_tokens) AS tokens
FROM node_logs_exact GROUP BY node_type ORDER BY runs DESC`,
  `SELECT service_name, name, count() AS spans, countIf(is_error) AS errors, round(quantile(0.95)(duration_ns) / 1e6, 1) AS p95_ms
FROM spans_exact GROUP BY service_name, name ORDER BY spans DESC LIMIT 10`,
]

/** What a query prints. */
export async function query(
  env: Environment,
  sql: string,
  format: 'PrettyCompactMonoBlock' | 'TabSeparatedRaw',
) {
  const url = new URL(env['SIDEREAL_CLICKHOUSE_URL'] ?? '')
  url.searchParams.set('database', DATABASE)
  url.searchParams.set('output_format_pretty_color', '0')
  const response = await fetch(url, { method: 'POST', body: `${sql}\nFORMAT ${format}` })
  const text = await response.text()
  if (!response.ok) {
    throw new SiderealError(
      'SIDEREAL_CLICKHOUSE_FAILED',
      `The demo's query was refused: ${text.slice(0, 400)}`,
    )
  }
  return text.trimEnd()
}

/** The request whose tree is worth a look: large, with many nodes. */
export function showcase(requests: readonly SentRequest[]): SentRequest {
  const worth = ({ index, isAnswered }: SentRequest) => {
    const { usesKnowledge, usesPlugin, usesMessage, answerBytes } = planRequest(index)
    return (
      Number(isAnswered) * 8 +
      Number(answerBytes > PAYLOAD_LIMIT_BYTES) * 4 +
      Number(usesKnowledge) +
      Number(usesPlugin) +
      Number(usesMessage)
    )
  }
  const [best] = requests.toSorted((a, b) => worth(b) - worth(a) || a.index - b.index)
  if (best === undefined) throw new Error('no request was sent')
  return best
}

export interface FetchedPayload {
  readonly reference: string
  readonly bytes: number
  readonly sha256: string
  readonly isAsSent: boolean
}

/** Fetches the answer of a request back from the object store by the reference in its row, as a user would. */
export async function fetchAnswer(
  env: Environment,
  request: SentRequest,
  signal: AbortSignal,
): Promise<FetchedPayload> {
  const reference = await query(
    env,
    `SELECT payload_refs['answer'] FROM node_trace_logs_exact WHERE sid = '${request.sid}'`,
    'TabSeparatedRaw',
  )
  const { code, output } = await runCli(['payload', 'get', reference], env, signal)
  const sha256 = sha256Of(output)
  const sent = finalAnswer(planRequest(request.index)) ?? ''
  return { reference, bytes: output.length, sha256, isAsSent: code === 0 && sha256 === sha256Of(sent) }
}

function sha256Of(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
