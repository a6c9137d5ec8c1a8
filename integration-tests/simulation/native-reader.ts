/** Reads blocks in ClickHouse's Native format, for the types of our own tables: written from the format, not from our builders. */
export type NativeRow = Record<string, unknown>

export function readNative(chunks: readonly Uint8Array[]): NativeRow[] {
  const reader = new NativeReader(Buffer.concat(chunks))
  return reader.readBlock()
}

class NativeReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  readBlock(): NativeRow[] {
    const columns = this.#varint()
    const count = this.#varint()
    const rows: NativeRow[] = Array.from({ length: count }, () => ({}))
    for (let column = 0; column < columns; column++) {
      const name = this.#text()
      const type = this.#text()
      this.#readPrefix(type)
      const values = this.#readData(type, count)
      for (let row = 0; row < count; row++) rows[row]![name] = values[row]
    }
    if (this.#at !== this.#bytes.length) throw new Error('bytes are left behind the block')
    return rows
  }

  #readPrefix(type: string): void {
    const { outer, inner } = parse(type)
    if (outer === 'LowCardinality') this.#at += 8
    else for (const part of inner) this.#readPrefix(part)
  }

  #readData(type: string, count: number): unknown[] {
    const { outer, inner } = parse(type)
    switch (outer) {
      case 'String':
        return Array.from({ length: count }, () => this.#text())
      case 'Bool':
      case 'UInt8':
        return Array.from({ length: count }, () => this.#bytes[this.#at++])
      case 'UInt16':
        return Array.from({ length: count }, () => this.#bytes.readUInt16LE(this.#move(2)))
      case 'Int32':
        return Array.from({ length: count }, () => this.#bytes.readInt32LE(this.#move(4)))
      case 'UInt32':
        return Array.from({ length: count }, () => this.#bytes.readUInt32LE(this.#move(4)))
      case 'Int64':
      case 'DateTime64':
        return Array.from({ length: count }, () => this.#bytes.readBigInt64LE(this.#move(8)))
      case 'UInt64':
        return Array.from({ length: count }, () => this.#bytes.readBigUInt64LE(this.#move(8)))
      case 'Float64':
        return Array.from({ length: count }, () => this.#bytes.readDoubleLE(this.#move(8)))
      case 'LowCardinality':
        return this.#readDictionary(count)
      case 'Tuple':
        return this.#readTuple(inner, count)
      case 'Array':
        return this.#readArray(count, (items) => this.#readData(inner[0]!, items))
      case 'Map':
        return this.#readArray(count, (items) => this.#readTuple(inner, items))
      case 'SimpleAggregateFunction':
        return this.#readData(inner[0]!, count)
    }
    throw new Error(`no reader for the type ${type}`)
  }

  #readArray(count: number, readItems: (count: number) => unknown[]): unknown[] {
    const ends = Array.from({ length: count }, () => Number(this.#bytes.readBigUInt64LE(this.#move(8))))
    const items = readItems(ends.at(-1) ?? 0)
    return ends.map((end, row) => items.slice(ends[row - 1] ?? 0, end))
  }

  #readTuple(parts: readonly string[], count: number): unknown[] {
    const columns = parts.map((part) => this.#readData(part, count))
    return Array.from({ length: count }, (_, row) => columns.map((column) => column[row]))
  }

  #readDictionary(count: number): unknown[] {
    if (count === 0) return []
    const width = Number(this.#bytes.readBigUInt64LE(this.#move(8)) & 0xffn)
    const size = Number(this.#bytes.readBigUInt64LE(this.#move(8)))
    const entries = Array.from({ length: size }, () => this.#text())
    const indexes = Number(this.#bytes.readBigUInt64LE(this.#move(8)))
    if (indexes !== count) throw new Error('a dictionary column of another length')
    const bytes = 2 ** width
    return Array.from({ length: count }, () => entries[this.#bytes.readUIntLE(this.#move(bytes), bytes)])
  }

  #text(): string {
    const length = this.#varint()
    return this.#bytes.toString('utf8', this.#move(length), this.#at)
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++]!
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  #move(bytes: number): number {
    const at = this.#at
    this.#at += bytes
    return at
  }
}

interface ParsedType {
  readonly outer: string
  readonly inner: readonly string[]
}

const parsed = (): ((type: string) => ParsedType) => {
  const cache = new Map<string, ParsedType>()
  return (type) => {
    const result = cache.get(type) ?? parseType(type)
    cache.set(type, result)
    return result
  }
}
const parse = parsed()

function parseType(type: string): ParsedType {
  const open = type.indexOf('(')
  if (open === -1) return { outer: type, inner: [] }
  const outer = type.slice(0, open)
  const parts = split(type.slice(open + 1, -1))
  if (outer === 'DateTime64') return { outer, inner: [] }
  if (outer === 'Tuple') return { outer, inner: parts.map((part) => part.slice(part.indexOf(' ') + 1)) }
  if (outer === 'SimpleAggregateFunction') return { outer, inner: parts.slice(1) }
  return { outer, inner: parts }
}

function split(list: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < list.length; i++) {
    if (list[i] === '(') depth++
    else if (list[i] === ')') depth--
    else if (list[i] === ',' && depth === 0) {
      parts.push(list.slice(start, i).trim())
      start = i + 1
    }
  }
  parts.push(list.slice(start).trim())
  return parts
}
