import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  compressibleText,
  randomText,
  sendPayloads,
} from '../integration-tests/invariants/payload-records.ts'
import { RecordSender, writeContentLedger } from '../integration-tests/invariants/records-for-tests.ts'
import type { TcpProxy } from '../integration-tests/support/tcp-proxy.ts'
import { spawnCli } from '../src/local/demo/cli-process.ts'

type Environment = Readonly<Record<string, string>>

export interface CaseContext {
  readonly env: Environment
  readonly topic: string
  /** 1 = the full size. */
  readonly scale: number
  newFile(name: string): string
  readonly say: (line: string) => void
  readonly clickHouse: TcpProxy
  /** Waits until the worker delivers. */
  untilDelivering(): Promise<void>
}

export interface MemoryCase {
  readonly about: string
  readonly env?: Environment
  /** Before the worker starts. Gives the ledgers. */
  before?(context: CaseContext): Promise<string[]>
  /** While it runs. Gives the ledgers. */
  during?(context: CaseContext): Promise<string[]>
  /** Traces stay open for longer than the trial: another worker with a short quiet time settles them at the end. */
  readonly staysOpen?: boolean
}

const MIB = 1024 * 1024
/** How long each of the two lasts, at full size. */
const HANGING_MS = 180_000
const REFUSING_MS = 600_000

export const MEMORY_CASES: Readonly<Record<string, MemoryCase>> = {
  backlog: {
    about: 'a backlog of 5 million spans',
    before: async (context) => [
      await load(context, [
        '--traces',
        count(context, 416_667),
        '--spans-per-trace',
        '12',
        '--payload-share',
        '0',
      ]),
    ],
  },
  'big-sid': {
    about: 'one SID of 100,000 spans, beside others',
    before: async (context) => [
      await load(context, [
        '--traces',
        '1',
        '--spans-per-trace',
        count(context, 100_000),
        '--payload-share',
        '0',
      ]),
      await load(context, ['--traces', count(context, 5_000), '--payload-share', '0']),
    ],
  },
  'open-sids': {
    about: '1 million open SIDs',
    env: { SIDEREAL_QUIET_MS: '3600000', SIDEREAL_IDLE_MS: '3600000', SIDEREAL_MAX_AGE_MS: '7200000' },
    before: async (context) => [
      await load(context, [
        ...['--traces', count(context, 1_000_000), '--spans-per-trace', '1'],
        ...['--no-logs', '--payload-share', '0'],
      ]),
    ],
    staysOpen: true,
  },
  texts: {
    about: 'a backlog in which every trace has values of 6 to 200 KB, as load makes them',
    before: async (context) => [
      await load(context, ['--traces', count(context, 20_000), '--payload-share', '1']),
    ],
  },
  compressible: {
    about:
      '1 MB payloads that compress to less than a twentieth, 2 GB of them, 30 in a batch of the producer',
    before: async (context) => [await payloads(context, 2_000, compressibleText, 32 * MIB)],
  },
  incompressible: {
    about: '1 MB payloads that do not compress, 1 GB of them',
    before: async (context) => [await payloads(context, 1_000, randomText, 1 * MIB)],
  },
  outage: {
    about: 'ClickHouse hangs for 3 minutes, then refuses for 10, under a load of 2,000 spans a second',
    during: async (context) => {
      const ledger = context.newFile('outage.jsonl')
      const loading = startLoad(context, ledger, [
        '--traces',
        '10000000',
        '--rate',
        '2000',
        '--payload-share',
        '0.05',
      ])
      await context.untilDelivering()
      const states = [
        ['hanging', HANGING_MS],
        ['refusing', REFUSING_MS],
      ] as const
      for (const [state, lastsMs] of states) {
        context.say(`ClickHouse is ${state}`)
        context.clickHouse.set(state)
        await sleep(lastsMs * context.scale)
      }
      context.say('ClickHouse is back')
      context.clickHouse.set('open')
      await sleep(10_000)
      loading.kill('SIGINT')
      await once(loading, 'exit')
      return [ledger]
    },
  },
}

function count({ scale }: CaseContext, full: number): string {
  return String(Math.max(1, Math.round(full * scale)))
}

function startLoad({ env }: CaseContext, ledger: string, flags: readonly string[]) {
  return spawnCli(['load', '--ledger', ledger, ...flags], env, process.stderr.fd)
}

async function load(context: CaseContext, flags: readonly string[]): Promise<string> {
  const ledger = context.newFile('load.jsonl')
  const [code] = await once(startLoad(context, ledger, flags), 'exit')
  if (code !== 0) throw new Error(`sidereal load ended with code ${code}`)
  return ledger
}

/** One span a record, with one value of 1 MB. */
async function payloads(
  context: CaseContext,
  full: number,
  text: (index: number) => string,
  maxBatchBytes: number,
): Promise<string> {
  const { env, topic, scale } = context
  const servers = {
    brokers: (env['SIDEREAL_KAFKA_BROKERS'] ?? '').split(','),
    registryUrl: env['SIDEREAL_REGISTRY_URL'] ?? '',
  }
  const sender = await RecordSender.open(servers, topic, {
    maxBatchBytes,
    maxRequestBytes: 8 * maxBatchBytes,
  })
  const ledger = context.newFile('payloads.jsonl')
  try {
    const count = Math.ceil(full * scale)
    const bytesPerSend = 6 * maxBatchBytes
    writeContentLedger(ledger, await sendPayloads(sender, { count, text, bytesPerSend, seed: 7 }))
  } finally {
    await sender.close()
  }
  return ledger
}
