import { Presets, SingleBar } from 'cli-progress'

/** Shows how far a long piece of work is: a bar on a terminal, a plain line now and then elsewhere. On standard error. */
export interface Progress {
  /** @param note what stands behind the figures, such as a rate */
  update(done: number, total: number, note?: string): void
  stop(): void
}

const LINE_EVERY_MS = 5_000

/** @param what is being done, and in which unit: "sending", "spans" */
export function startProgress(what: string, unit: string): Progress {
  return process.stderr.isTTY ? barProgress(what, unit) : lineProgress(what, unit)
}

function barProgress(what: string, unit: string): Progress {
  const format = `${what} [{bar}] {percentage}% · {value}/{total} ${unit} {note}`
  const bar = new SingleBar({ format, hideCursor: true, clearOnComplete: false }, Presets.shades_classic)
  let isStarted = false
  return {
    update(done, total, note = '') {
      if (!isStarted) bar.start(total, done, { note })
      isStarted = true
      bar.setTotal(total)
      bar.update(done, { note })
    },
    stop() {
      if (isStarted) bar.stop()
    },
  }
}

function lineProgress(what: string, unit: string): Progress {
  let lastMs = Number.NEGATIVE_INFINITY
  let latest = ''
  let isPrinted = true
  const print = () => {
    process.stderr.write(`${latest}\n`)
    lastMs = performance.now()
    isPrinted = true
  }
  return {
    update(done, total, note = '') {
      latest = `${what}: ${done}/${total} ${unit} ${note}`.trimEnd()
      isPrinted = false
      if (performance.now() - lastMs >= LINE_EVERY_MS) print()
    },
    stop() {
      if (!isPrinted) print()
    },
  }
}
