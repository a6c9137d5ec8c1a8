import { createServer, type Server } from 'node:net'
import { SiderealError } from '../model/errors.ts'

// Below the range from which systems take the ports of outgoing connections (32768 on Linux, 49152 elsewhere), so that
// nobody's client socket sits on a port between our look and the server's bind.
const LOWEST = 20_000
const HIGHEST = 32_000

/** Finds `count` different ports of 127.0.0.1 on which nobody listens. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = []
  try {
    while (held.length < count) {
      const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
      const server = await tryListen(port)
      if (server !== undefined) held.push(server)
    }
    return held.map(portOf)
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

/** `count` ports: the given ones first, free ones for the rest. Rejects when a given one is taken. */
export async function choosePorts(count: number, given: readonly number[] = []): Promise<number[]> {
  for (const port of given) {
    if (!(await isPortFree(port))) {
      throw new SiderealError(
        'SIDEREAL_LOCAL_STACK',
        `port ${port} of 127.0.0.1 is taken: name another, or none`,
      )
    }
  }
  return [...given, ...(await freePorts(count - given.length))]
}

/** True when a server could listen on this port of 127.0.0.1 now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = await tryListen(port)
  if (server === undefined) return false
  await new Promise((resolve) => server.close(resolve))
  return true
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port')
  return address.port
}
