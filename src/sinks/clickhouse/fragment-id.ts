import { hash } from 'node:crypto'
import type { FragmentFacts, NodeFact } from '../../model/fragment.ts'

const FIRST_BYTES = 4096

/** Lists of keys, in the order in which they are hashed. */
const KEY_LISTS = [
  'spanKeys',
  'errorKeys',
  'missingParents',
  'traceKeys',
  'rootedTraceKeys',
  'nodeIdKeys',
  'endedLogKeys',
] as const satisfies readonly (keyof FragmentFacts)[]

/**
 * Gives fragments their id: 64 bits of a hash over all that the row says, so that equal fragments collapse and all others stay. The layout
 * that is hashed is a format: each list and text has its length before it, numbers are doubles, times and keys 64-bit integers, all
 * little-endian.
 */
export class FragmentIds {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  /** Of the same memory: unlike `Buffer`, it writes a bigint without making others. */
  #view = new DataView(this.#buffer.buffer)
  #length = 0

  of(reason: string, facts: FragmentFacts): bigint {
    this.#length = 0
    this.#text(reason)
    this.#text(facts.appId)
    this.#number(facts.firstReceivedAtMs)
    this.#number(facts.lastReceivedAtMs)
    this.#int64(facts.startTimeNs)
    this.#int64(facts.endTimeNs)
    this.#texts(facts.traceIds)
    this.#texts(facts.services)
    this.#text(facts.rootName)
    this.#text(facts.rootService)
    this.#int64(facts.rootStartTimeNs)
    this.#number(facts.remoteRoots.length)
    for (const root of facts.remoteRoots) {
      this.#int64(root.startTimeNs)
      this.#text(root.name)
      this.#text(root.service)
      this.#uint64(root.parentKey)
    }
    this.#number(facts.identities.length)
    for (const identity of facts.identities) {
      this.#text(identity.service)
      this.#text(identity.uid)
      this.#text(identity.chatId)
    }
    this.#facts(facts.nodes)
    this.#facts(facts.logs)
    this.#number(facts.announced.length)
    for (const { logKey, nodeKey } of facts.announced) {
      this.#uint64(logKey)
      this.#uint64(nodeKey)
    }
    for (const name of KEY_LISTS) this.#keys(facts[name])
    return hash('sha256', this.#buffer.subarray(0, this.#length), 'buffer').readBigUInt64LE(0)
  }

  #facts(facts: readonly NodeFact[]): void {
    this.#number(facts.length)
    for (const { key, version, isError, tokens } of facts) {
      this.#uint64(key)
      this.#uint64(version)
      this.#number(isError ? 1 : 0)
      this.#number(tokens.question)
      this.#number(tokens.prompt)
      this.#number(tokens.completion)
      this.#number(tokens.total)
    }
  }

  #texts(texts: readonly string[]): void {
    this.#number(texts.length)
    for (const text of texts) this.#text(text)
  }

  #text(text: string): void {
    const at = this.#reserve(8 + text.length * 3)
    const bytes = text === '' ? 0 : this.#buffer.write(text, at + 8, 'utf8')
    this.#view.setFloat64(at, bytes, true)
    this.#length = at + 8 + bytes
  }

  #keys(keys: BigUint64Array): void {
    this.#number(keys.length)
    if (keys.length === 0) return
    const at = this.#reserve(keys.byteLength)
    this.#buffer.set(new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength), at)
    this.#length = at + keys.byteLength
  }

  #number(value: number): void {
    const at = this.#reserve(8)
    this.#view.setFloat64(at, value, true)
    this.#length = at + 8
  }

  #int64(value: bigint): void {
    const at = this.#reserve(8)
    this.#view.setBigInt64(at, value, true)
    this.#length = at + 8
  }

  #uint64(value: bigint): void {
    const at = this.#reserve(8)
    this.#view.setBigUint64(at, value, true)
    this.#length = at + 8
  }

  /** Room for `bytes`; returns where it starts. */
  #reserve(bytes: number): number {
    const end = this.#length + bytes
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(end, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
      this.#view = new DataView(grown.buffer)
    }
    return this.#length
  }
}
