// Loaded into a worker by `--import`, so that it does on SIGUSR2 what only a whole machine could make it do otherwise.
//   FAULT=block:9000              its event loop stands still, for so many milliseconds
//   FAULT=clock:3600000,-7200000  its wall clock jumps, by the next of these milliseconds each time
//   FAULT=fill-heap               it takes memory until V8 gives up

const [kind, argument = ''] = (process.env['FAULT'] ?? '').split(':')

const ACTIONS: Readonly<Record<string, () => void>> = {
  block: () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(argument))
  },
  clock: jump,
  'fill-heap': () => {
    const kept: object[][] = []
    for (;;) kept.push(Array.from({ length: 10_000 }, () => ({})))
  },
}

const shifts = argument.split(',').map(Number)
let shiftMs = 0

function jump(): void {
  const before = shiftMs
  shiftMs += shifts.shift() ?? 0
  if (before !== 0) return
  const RealDate = Date
  globalThis.Date = class extends RealDate {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [RealDate.now() + shiftMs] : args) as [number]))
    }

    static override now(): number {
      return RealDate.now() + shiftMs
    }
  } as DateConstructor
}

process.on('SIGUSR2', () => {
  // Who waits for it must know when it has come, and the worker may not be able to say so afterwards.
  process.stderr.write(`fault: ${kind}\n`)
  ACTIONS[kind ?? '']?.()
})
