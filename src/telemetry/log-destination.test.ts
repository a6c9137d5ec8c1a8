import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogDestination } from './log-destination.ts'
import { createLogger } from './logger.ts'

/** A descriptor with room for so many bytes, and what the system says when it is used up. */
function place(code: string): { room: number; text: string; write: (fd: number, bytes: Buffer) => number } {
  const state = {
    room: Number.POSITIVE_INFINITY,
    text: '',
    write: (_: number, bytes: Buffer): number => {
      if (state.room === 0) throw Object.assign(new Error(code), { code })
      const taken = Math.min(state.room, bytes.length)
      state.room -= taken
      state.text += bytes.toString('utf8', 0, taken)
      return taken
    },
  }
  return state
}

for (const code of ['ENOSPC', 'EAGAIN', 'EIO']) {
  test(`a log that answers ${code} holds nobody: lines wait within a bound, and the loss is told once there is room`, () => {
    const disk = place(code)
    const destination = new LogDestination(1, disk.write)
    const logger = createLogger({ destination })
    logger.info({ n: 1 }, 'before')
    // In the middle of a line, too.
    disk.room = 10
    const lines = 5_000
    for (let n = 0; n < lines; n++) logger.info({ n, filler: 'x'.repeat(200) }, 'meanwhile')
    assert.ok(destination.lostLines > 1_000, `${destination.lostLines} lines are lost`)
    const lost = destination.lostLines

    disk.room = Number.POSITIVE_INFINITY
    logger.info({}, 'after')
    const written = disk.text
      .trimEnd()
      .split('\n')
      .map((line): { msg: string; n?: number; lost?: number } => JSON.parse(line))
    assert.equal(written[0]?.msg, 'before')
    assert.equal(written.at(-1)?.msg, 'after')
    assert.deepEqual(
      written.filter(({ msg }) => msg === 'log lines were lost').map((line) => line.lost),
      [lost],
    )
    const meanwhile = written.filter(({ msg }) => msg === 'meanwhile').map(({ n }) => n)
    assert.deepEqual(
      meanwhile,
      Array.from({ length: lines - lost }, (_, n) => n),
    )
  })
}

test('a log whose reader is gone is given up', () => {
  const pipe = place('EPIPE')
  const logger = createLogger({ destination: new LogDestination(1, pipe.write) })
  pipe.room = 0
  logger.info({}, 'one')
  pipe.room = 1_000
  logger.info({}, 'two')
  assert.equal(pipe.text, '')
})
