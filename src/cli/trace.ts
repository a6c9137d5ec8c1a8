import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { SiderealError } from '../model/errors.ts'
import { configOf } from './context.ts'
import { wholeNumber } from './numbers.ts'

/** Adds `sidereal trace <id>`: a trace as a tree, with what is missing. */
export function registerTraceCommand(program: Command): void {
  program
    .command('trace')
    .description('Show a trace as a tree. An id of several requests (a chat, a user) lists them.')
    .argument('<id>', 'SID, trace id, chat id or uid')
    .option('--limit <count>', 'requests to list, newest first', wholeNumber(1, 10_000), 20)
    .action(async (id: string, flags: { limit: number }, command: Command) => {
      await showTrace(configOf(command), id, flags.limit)
    })
}

async function showTrace(config: Config, id: string, limit: number): Promise<void> {
  const { formatTrace } = await import('../audit/trace-tree.ts')
  const { clickHouseConnection } = await import('../config/connections.ts')
  const { openClickHouse } = await import('../storage/clickhouse/client.ts')
  const { findTrace, loadTrace } = await import('../storage/clickhouse/queries.ts')
  const client = openClickHouse(clickHouseConnection(config))
  try {
    const locations = await findTrace(client, id, limit)
    const sids = [...new Set(locations.map(({ sid }) => sid))]
    const [sid] = sids
    if (sid === undefined) {
      throw new SiderealError(
        'SIDEREAL_TRACE_NOT_FOUND',
        `Nothing is stored under the id ${id} in ${config.clickhouse.database} at ${client.url}. Check the id; a trace of this moment is written when it is closed, ${config.worker.quietMs / 1000} s after its last record.`,
      )
    }
    if (sids.length === 1) {
      console.log(formatTrace(sid, await loadTrace(client, sid)))
      return
    }
    const count = locations.length < limit ? `${sids.length}` : `${sids.length} or more`
    console.log(
      `${count} requests have this id (${locations[0]?.kind}), newest first. Show one with: sidereal trace <SID>`,
    )
    for (const { sid: other, appId, minTime, kind } of locations)
      console.log(`${minTime}  ${other}  ${appId || '(no app)'}  (${kind})`)
  } finally {
    await client.close()
  }
}
