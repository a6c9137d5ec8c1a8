import { writeFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { objectStoreConnection } from '../config/connections.ts'
import { SiderealError } from '../model/errors.ts'
import { parsePayloadReference } from '../model/payload-reference-text.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { configOf } from './context.ts'
import { wholeNumber } from './numbers.ts'

interface GetOptions {
  output?: string
}

/** Adds `sidereal payload get <ref>` and `sidereal payload url <ref>`. */
export function registerPayloadCommand(program: Command): void {
  const payload = program.command('payload').description('Read values that were moved to object storage.')
  payload
    .command('get')
    .description('Print the value that a reference stands for, byte for byte. Its sha256 is verified.')
    .argument('<reference>', 'a value of the column payload_refs: key#offset,length,size,sha256,encoding')
    .option('-o, --output <file>', 'write to a file instead of standard output')
    .action(async (text: string, flags: GetOptions, command: Command) => {
      await withStore(configOf(command), (store) => getPayload(store, text, flags))
    })
  payload
    .command('url')
    .description(
      'Print a command by which anybody reads this value, and no other of its pack, by a pre-signed URL.',
    )
    .argument('<reference>', 'a value of the column payload_refs')
    .option('--expires <seconds>', 'how long it is valid', wholeNumber(1, 604_800), 3_600)
    .action(async (text: string, flags: { expires: number }, command: Command) => {
      await withStore(configOf(command), (store) => printUrl(store, text, flags.expires))
    })
}

async function getPayload(store: ObjectStore, text: string, flags: GetOptions): Promise<void> {
  const { readPayload } = await import('../storage/payload-pack.ts')
  const value = await readPayload(store, parsePayloadReference(text))
  if (flags.output === undefined) await pipeline(Readable.from([value]), process.stdout, { end: false })
  else await writeFile(flags.output, value)
}

async function printUrl(store: ObjectStore, text: string, expiresInSeconds: number): Promise<void> {
  const { key, offset, length, encoding } = parsePayloadReference(text)
  if (key === null) {
    throw new SiderealError(
      'SIDEREAL_PAYLOAD_NOT_FOUND',
      'This value was cut by its producer and is stored nowhere.',
    )
  }
  const url = await store.presign(key, expiresInSeconds, { offset, length })
  if (url === undefined) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `${store.url} has no URLs that others could read. Use "sidereal payload get".`,
    )
  }
  const decode = encoding === 'zstd' ? ' | zstd -d' : ''
  console.log(`curl -s -H 'Range: bytes=${offset}-${offset + length - 1}' '${url}'${decode}`)
}

async function withStore(config: Config, use: (store: ObjectStore) => Promise<void>): Promise<void> {
  const connection = objectStoreConnection(config)
  if (connection === undefined) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'No object store is configured. Set SIDEREAL_OBJECT_STORE to the one that the worker writes to.',
    )
  }
  const { openObjectStore } = await import('../storage/object-store.ts')
  const store = openObjectStore(connection.url, connection)
  try {
    await use(store)
  } finally {
    await store.close()
  }
}
