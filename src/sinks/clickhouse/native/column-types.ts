import type { ChunkPool } from './chunk-pool.ts'
import type { Column } from './column.ts'
import { ArrayColumn, MapColumn, TupleColumn } from './composite-columns.ts'
import { Float64Column, Int32Column, Int64Column, UInt8Column, UInt16Column } from './fixed-columns.ts'
import { LowCardinalityColumn } from './low-cardinality-column.ts'
import { TextColumn } from './text-column.ts'

/** The builder that fills a column of a ClickHouse type. */
export type ColumnOf<T extends string> = T extends `SimpleAggregateFunction(${string}, ${infer Inner})`
  ? ColumnOf<Inner>
  : T extends 'String'
    ? TextColumn
    : T extends 'LowCardinality(String)'
      ? LowCardinalityColumn
      : T extends 'Map(LowCardinality(String), String)'
        ? MapColumn
        : T extends 'UInt8' | 'Bool'
          ? UInt8Column
          : T extends 'UInt16'
            ? UInt16Column
            : T extends 'Int32' | 'UInt32'
              ? Int32Column
              : T extends 'Int64' | 'UInt64' | "DateTime64(9, 'UTC')"
                ? Int64Column
                : T extends 'Float64'
                  ? Float64Column
                  : T extends `Array(${infer Item})`
                    ? ArrayColumn<ColumnOf<Item>>
                    : T extends `Tuple(${string})`
                      ? TupleColumn
                      : never

/** Makes the builder of a type. The types are those of our own tables: any other throws. */
export function createColumn<T extends string>(type: T, pool: ChunkPool): ColumnOf<T> {
  return create(type, pool) as ColumnOf<T>
}

function create(type: string, pool: ChunkPool): Column {
  switch (type) {
    case 'String':
      return new TextColumn(pool)
    case 'LowCardinality(String)':
      return new LowCardinalityColumn()
    case 'Map(LowCardinality(String), String)':
      return new MapColumn(new LowCardinalityColumn(), new TextColumn(pool))
    case 'UInt8':
    case 'Bool':
      return new UInt8Column()
    case 'UInt16':
      return new UInt16Column()
    case 'Int32':
    case 'UInt32':
      return new Int32Column()
    case 'Int64':
    case 'UInt64':
    case "DateTime64(9, 'UTC')":
      return new Int64Column()
    case 'Float64':
      return new Float64Column()
  }
  const [, outer, inner] = /^(Array|Tuple|SimpleAggregateFunction)\((.*)\)$/.exec(type) ?? []
  if (outer === undefined || inner === undefined) throw new Error(`No builder for the column type ${type}`)
  if (outer === 'Array') return new ArrayColumn(create(inner, pool))
  if (outer === 'SimpleAggregateFunction') return create(inner.slice(inner.indexOf(',') + 1).trim(), pool)
  return new TupleColumn(splitTypes(inner).map((part) => create(part.slice(part.indexOf(' ') + 1), pool)))
}

/** The parts of a tuple, which have names. */
function splitTypes(list: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < list.length; i++) {
    const character = list[i]
    if (character === '(') depth++
    else if (character === ')') depth--
    else if (character === ',' && depth === 0) {
      parts.push(list.slice(start, i).trim())
      start = i + 1
    }
  }
  parts.push(list.slice(start).trim())
  return parts
}
