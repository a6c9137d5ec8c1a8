import type { Call, Names, Plan } from './plan.ts'

/** How a value becomes a JavaScript value: a plan that assigns it to a variable, and what it is when the writer lacks the field. */
export interface Reader {
  initial: string
  plan: (target: string, names: Names) => Plan
}

/** A field of a model object: its name there, its name on the wire, its reader. */
export type FieldReader = readonly [model: string, wire: string, reader: Reader]

export const text: Reader = {
  initial: "''",
  plan: (target) => ({ string: (at, length) => `${target} = text(b, ${at}, ${length})` }),
}

export const bytes: Reader = {
  initial: 'new Uint8Array(0)',
  plan: (target) => ({ string: (at, length) => `${target} = copyBytes(b, ${at}, ${length})` }),
}

/** int or long as a number; beyond 2^53 the record is invalid. */
export const number: Reader = {
  initial: '0',
  plan: (target) => ({ number: (value) => `${target} = ${value}` }),
}

export const bigint: Reader = { initial: '0n', plan: (target) => ({ halves: `${target} = toBigInt(H, L)` }) }

export const double: Reader = {
  initial: '0',
  plan: (target) => ({ double: (at) => `${target} = b.readDoubleLE(${at})` }),
}

export const boolean: Reader = {
  initial: 'false',
  plan: (target) => ({ boolean: (value) => `${target} = ${value}` }),
}

const nothing: Reader = { initial: 'null', plan: (target) => ({ nothing: `${target} = null` }) }

/** Bytes of a fixed size as lower-case hex. `repeated` = often the same as the last one, as trace ids are. */
export function hex(size: number, repeated = false): Reader {
  const name = repeated ? 'sameHex' : 'toHex'
  return {
    initial: "''",
    plan: (target) => ({ fixed: { size, code: (at) => `${target} = ${name}(b, ${at}, ${size})` } }),
  }
}

export function withDefault(reader: Reader, initial: string): Reader {
  return { ...reader, initial }
}

/** A union; `branches` by branch name. */
export function union(initial: string, branches: () => Record<string, Reader>): Reader {
  return {
    initial,
    plan: (target, names) => ({
      branches: Object.fromEntries(
        Object.entries(branches()).map(([name, reader]) => [name, reader.plan(target, names)]),
      ),
    }),
  }
}

export function nullable(branch: string, reader: Reader): Reader {
  return union('null', () => ({ null: nothing, [branch]: reader }))
}

export function list(item: Reader): Reader {
  return {
    initial: '[]',
    plan: (target, names) => {
      const items = names.variable()
      const value = names.variable()
      const plan = item.plan(value, names)
      return {
        enter: `const ${items} = []`,
        items: {
          ...plan,
          enter: `let ${value} = ${item.initial}\n${plan.enter ?? ''}`,
          leave: `${plan.leave ?? ''}\n${items}.push(${value})`,
        },
        leave: `${target} = ${items}`,
      }
    },
  }
}

/** A record that becomes an object of one shape, whatever the order of the writer's fields. `build` makes it from a literal. */
export function object(
  fields: readonly FieldReader[],
  required: readonly string[] = [],
  build = (literal: string) => literal,
): Reader {
  const initial = build(literal(fields.map(([model, , reader]) => [model, reader.initial])))
  return {
    initial,
    plan: (target, names) => {
      const variables = fields.map(() => names.variable())
      return {
        enter: fields.map(([, , reader], index) => `let ${variables[index]} = ${reader.initial}`).join('\n'),
        fields: Object.fromEntries(
          fields.map(([, wire, reader], index) => [wire, reader.plan(variables[index]!, names)]),
        ),
        required,
        leave: `${target} = ${build(literal(fields.map(([model], index) => [model, variables[index]!])))}`,
      }
    },
  }
}

/** A record of which only one field counts. */
export function only(wire: string, reader: Reader): Reader {
  return {
    initial: reader.initial,
    plan: (target, names) => ({ fields: { [wire]: reader.plan(target, names) } }),
  }
}

/** The same value, read by a generated function of its own. Call it once for each kind of value: the result is its identity. */
export function separately(reader: Reader): Reader {
  const call: Call = { initial: reader.initial, plan: (names) => reader.plan('v', names) }
  return { initial: reader.initial, plan: (target) => ({ call, leave: `${target} = r` }) }
}

function literal(entries: readonly (readonly [string, string])[]): string {
  return `{ ${entries.map(([name, value]) => `${name}: ${value}`).join(', ')} }`
}
