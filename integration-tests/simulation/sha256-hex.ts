import { hash } from 'node:crypto'

export function sha256Hex(text: string | Buffer): string {
  return hash('sha256', text, 'hex')
}
