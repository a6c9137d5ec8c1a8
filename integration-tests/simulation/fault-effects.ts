import { type Fault, REQUESTS } from './faults.ts'
import { PartitionLog } from './kafka-log.ts'
import { START_MS } from './traces.ts'
import type { World } from './world.ts'

/** When a bad deployment is mended: a partition that stands still notices within 90 s, the longest pause and the life of a refusal. */
const MENDED_MS = 11_000

/** Sees to it that a fault happens at its time. */
export function planFault(world: World, fault: Fault): void {
  if (fault.kind === 'kill at') {
    world.killAt(fault)
    return
  }
  const fromMs = START_MS + fault.atMs
  if (fault.kind === 'failure') {
    const { request, how, forMs } = fault
    world.network.fail({ request, how, fromMs, untilMs: fromMs + forMs })
    return
  }
  if (fault.kind === 'kafka away') {
    const requests = REQUESTS.slice(0, 6)
    for (const request of [...requests, 'dead letters' as const]) {
      world.network.fail({ request, how: 'hangs', fromMs, untilMs: fromMs + fault.forMs })
    }
    return
  }
  world.scheduler.post(fault.atMs, null, fault.kind, () => happen(world, fault))
}

function happen(world: World, fault: Exclude<Fault, { kind: 'kill at' | 'failure' | 'kafka away' }>): void {
  switch (fault.kind) {
    case 'kill':
      world.kill(fault.worker, fault.awayMs)
      break
    case 'stop':
      world.stop(fault.worker, fault.awayMs)
      break
    case 'freeze': {
      const process = world.lifeOf(fault.worker)?.process
      if (process !== undefined) {
        process.stoppedUntilMs = Math.max(process.stoppedUntilMs, world.scheduler.nowMs + fault.forMs)
      }
      break
    }
    case 'evict': {
      const memberId = world.lifeOf(fault.worker)?.state.memberId
      if (memberId !== undefined) world.group.leave(memberId)
      break
    }
    case 'join':
      world.lifeOf(fault.worker)?.client.joinAgain(fault.isInVain)
      break
    case 'storm':
      storm(world, fault)
      break
    case 'late ledger':
      world.lifeOf(fault.worker)?.client.delayLedgers(fault.byMs, fault.forMs)
      break
    case 'bad deploy':
      world.deploy.begin(fault.how, fault.share)
      world.scheduler.post(fault.forMs, null, 'bad deploy ends', () => world.deploy.end())
      if (world.options.capEnding !== 'limits lifted') {
        world.scheduler.post(MENDED_MS - fault.atMs, null, 'mended', () => world.deploy.mend())
      }
      break
    case 'astray':
      world.lifeOf(fault.worker)?.client.goAstray(fault.by)
      break
    case 'leader move': {
      const log = world.log(fault.partition)
      log.leader = (log.leader + 1) % world.options.brokers
      log.clockSkewMs = log.clockSkewMs === 0 ? -world.options.appendSkewMs : 0
      for (const life of world.lives) if (life.process.isAlive) life.client.repeatNext(fault.partition)
      break
    }
    case 'out of range':
      for (const life of world.lives) {
        if (life.process.isAlive) life.client.outOfRangeNext(fault.partition, fault.joinsAfterMs)
      }
      break
    case 'retention':
      world.log(fault.partition).retain(fault.share)
      break
    case 'truncation':
      world.log(fault.partition).truncate(fault.share)
      break
    case 'growth': {
      for (let i = 0; i < fault.by; i++) world.logs.push(new PartitionLog(world.logs.length, 0))
      world.scheduler.post(fault.noticedAfterMs, null, 'partitions are noticed', () => {
        world.group.knownPartitions = world.logs.length
        world.group.rebalance()
      })
      break
    }
    case 'memory over limit': {
      const life = world.lifeOf(fault.worker)
      if (life === undefined) break
      life.overMemorySinceMs = world.scheduler.nowMs
      world.scheduler.post(fault.forMs, null, 'memory is back', () => {
        life.overMemorySinceMs = undefined
        life.restingRssBytes = world.options.maxMemoryBytes * fault.restsAt
      })
    }
  }
}

function storm(world: World, fault: Extract<Fault, { kind: 'storm' }>): void {
  const { worker, times, everyMs, lateLedgersMs } = fault
  for (const life of world.lives) {
    if (life.process.isAlive && life.index !== worker)
      life.client.delayLedgers(lateLedgersMs, times * everyMs)
  }
  for (let i = 0; i < times; i++) {
    world.scheduler.post(i * everyMs, null, 'storm', () => world.stop(worker, everyMs * 0.4))
  }
}
