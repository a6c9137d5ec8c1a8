import { readFileSync } from 'node:fs'
import { SiderealError } from '../model/errors.ts'

/**
 * The text of a PEM file (certificates or a key) that the configuration names.
 *
 * @param what for the message: which server, and which of its files
 * @throws SiderealError SIDEREAL_CONFIG_INVALID when it cannot be read, or holds no PEM block
 */
export function readPemFile(path: string, what: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      `${what}: cannot read ${path}: check the path and its permissions`,
      { cause },
    )
  }
  // Node takes any text for an authority, trusts nobody then, and blames the server.
  if (/-----BEGIN [A-Z ]+-----/.test(text)) return text
  throw new SiderealError(
    'SIDEREAL_CONFIG_INVALID',
    `${what}: ${path} holds no PEM block: it has to begin with "-----BEGIN …-----"`,
  )
}
