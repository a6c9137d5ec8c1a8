import { join } from 'node:path'
import { SiderealError } from '../../model/errors.ts'
import { ServiceProcess, type ServiceRole } from './service-process.ts'
import type { SentRequest } from './traffic.ts'
import { writeWitnessLedger } from './witness-ledger.ts'

export interface DemoServices {
  readonly entry: ServiceProcess
  readonly all: readonly ServiceProcess[]
  /** Ends at once what still runs. */
  close(): Promise<void>
}

/** Starts the three services, each in a process of its own, the called before their callers. */
export async function startServices(
  env: Readonly<Record<string, string>>,
  folder: string,
): Promise<DemoServices> {
  const all: ServiceProcess[] = []
  const start = async (role: ServiceRole, nextUrl?: string) => {
    const witnessFile = join(folder, `${role}.witness.jsonl`)
    const service = await ServiceProcess.start({
      role,
      env,
      witnessFile,
      ...(nextUrl === undefined ? {} : { nextUrl }),
    })
    all.push(service)
    return service
  }
  const close = async () => {
    await Promise.all(all.map((service) => service.close()))
  }
  try {
    const tools = await start('tools')
    const workflow = await start('workflow', tools.url)
    const entry = await start('entry', workflow.url)
    return { entry, all, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Has each service send the rest and end; gives the ledgers of what they did. */
export async function stopServices(
  services: DemoServices,
  folder: string,
  requests: readonly SentRequest[],
  print: (text: string) => void,
): Promise<string[]> {
  const ledgers: string[] = []
  for (const service of services.all) {
    const { spans, logs } = await service.stop()
    const ledger = join(folder, `${service.role}.ledger.jsonl`)
    const seen = await writeWitnessLedger(service.witnessFile, ledger, requests)
    print(
      `${service.role}: wrote down ${seen.spans} spans and ${seen.logs} logs; Kafka acknowledged ${spans.sent} and ${logs.sent}`,
    )
    if (spans.sent !== seen.spans || logs.sent !== seen.logs) {
      throw new SiderealError(
        'SIDEREAL_KAFKA_SEND_FAILED',
        `The demo service ${service.role} could not send everything; its warnings are above.`,
      )
    }
    ledgers.push(ledger)
  }
  return ledgers
}
