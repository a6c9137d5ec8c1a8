import {
  type Call,
  expectPlan,
  incompatible,
  type Names,
  ownPlan,
  type Plan,
  type WalkOptions,
} from './plan.ts'
import { recursiveRecords } from './recursion.ts'
import { type AvroType, branchName } from './schema.ts'
import { WALK_PRELUDE } from './walk-prelude.ts'

/** How deep arrays and maps may be nested in one another. */
export const MAX_VALUE_DEPTH = 64

/** Compiles plans over one writer schema into the source of one module. */
export class WalkCompiler implements Names {
  readonly #root: AvroType
  readonly #options: WalkOptions
  readonly #recursive: ReadonlySet<AvroType>
  readonly #functions: string[] = []
  readonly #skips = new Map<AvroType, string>()
  readonly #calls = new Map<AvroType, Map<Call, string>>()
  #counter = 0

  constructor(root: AvroType, options: WalkOptions = {}) {
    this.#root = root
    this.#options = options
    this.#recursive = recursiveRecords(root)
  }

  variable(): string {
    return `v${this.#counter++}`
  }

  /**
   * Adds an entry function `name(b, p, e, …)` that walks the whole value and has to end exactly at `e`. The plan's own `leave` comes
   * behind that check, but for a call, whose result it takes; `result` is what the function returns.
   */
  entry(name: string, parameters: readonly string[], plan: Plan, result = ''): void {
    const leave = plan.leave ?? ''
    const isCall = plan.call !== undefined
    this.#functions.push(`function ${name}(${['b', 'p', 'e', ...parameters].join(', ')}) {
const d = 0
${plan.enter ?? ''}
${this.#emit(this.#root, { ...plan, enter: '', leave: isCall ? leave : '' }, name)}
if (p !== e) bad(p, p > e ? 'it ends too early' : 'there are bytes behind its end')
${isCall ? '' : leave}
return ${result}
}`)
  }

  /** The module. The names that `declarations` and the plans use, and `bad(position, what)`, which throws, have to be in scope. */
  source(declarations: string, result: string): string {
    return `'use strict'\n${WALK_PRELUDE}\n${declarations}\n${this.#functions.join('\n\n')}\nreturn ${result}`
  }

  #emit(type: AvroType, plan: Plan | undefined, path: string, depth = 'd'): string {
    if (plan === undefined) return this.#emitSkip(type, path, depth)
    const body =
      plan.call === undefined
        ? this.#emitValue(type, plan, path, depth)
        : this.#emitCall(type, plan.call, path, depth)
    return `{ ${plan.enter ?? ''}\n${body}\n${plan.leave ?? ''} }`
  }

  #emitValue(type: AvroType, plan: Plan, path: string, depth: string): string {
    if (plan.branches !== undefined && type.kind !== 'union') {
      const branch = plan.branches[branchName(type)]
      if (branch === undefined)
        throw incompatible(`${path} is a ${branchName(type)}, which is not expected there`)
      return this.#emit(type, branch, path, depth)
    }
    switch (type.kind) {
      case 'null':
        expectPlan(plan, 'nothing', path)
        return plan.nothing ?? ''
      case 'boolean':
        expectPlan(plan, 'boolean', path)
        return this.#emitBoolean(plan)
      case 'int':
      case 'long':
        return this.#emitInteger(type.kind, plan, path)
      case 'double':
        expectPlan(plan, 'double', path)
        return `if (p + 8 > e) bad(p, 'it ends within a double'); ${plan.double?.('p') ?? ''}; p += 8`
      case 'string':
      case 'bytes': {
        expectPlan(plan, 'string', path)
        const length = this.variable()
        return `${this.#emitLength(length)}\n${plan.string?.('p', length) ?? ''}\np += ${length}`
      }
      case 'fixed': {
        expectPlan(plan, 'fixed', path)
        if (plan.fixed !== undefined && plan.fixed.size !== type.size) {
          throw incompatible(`${path} has ${type.size} bytes and not ${plan.fixed.size}`)
        }
        return `if (p + ${type.size} > e) bad(p, 'it ends within a fixed value'); ${plan.fixed?.code('p') ?? ''}; p += ${type.size}`
      }
      case 'array':
        expectPlan(plan, 'items', path)
        return this.#emitBlocks(this.#emit(type.items, plan.items, `${path}[]`))
      case 'record': {
        expectPlan(plan, 'fields', path)
        const fields = plan.fields ?? {}
        for (const name of plan.required ?? []) {
          if (!type.fields.some((field) => field.name === name))
            throw incompatible(`${path} has no field "${name}"`)
        }
        return type.fields
          .map((field) => this.#emit(field.type, ownPlan(fields, field.name), `${path}.${field.name}`))
          .join('\n')
      }
      case 'union':
        expectPlan(plan, 'branches', path)
        return this.#emitUnion(type.branches, plan.branches, path)
      case 'float':
      case 'enum':
      case 'map':
        throw incompatible(`${path} is a ${type.kind}, which is not expected there`)
    }
  }

  /** Validates a value and goes behind it. */
  #emitSkip(type: AvroType, path: string, depth: string): string {
    switch (type.kind) {
      case 'boolean':
        return this.#emitBoolean({})
      case 'int':
        return this.#emitInteger('int', { number: () => '' }, path)
      case 'long':
        return this.#emitInteger(
          'long',
          type.logicalType === 'timestamp-nanos' ? {} : { number: () => '' },
          path,
        )
      case 'float':
        return `p += 4; if (p > e) bad(p, 'it ends within a float')`
      case 'enum':
        return `${this.#emitInteger('int', { number: (value) => `if (${value} < 0 || ${value} >= ${type.symbolCount}) bad(p, 'an enum symbol is unknown')` }, path)}`
      case 'array':
        if (type.items.kind === 'null')
          throw incompatible(`${path} is an array of nulls, whose length has no bound`)
        return type.items.kind === 'record'
          ? this.#callSkip(type, type.items, path)
          : this.#emitBlocks(this.#emitSkip(type.items, path, 'd'))
      case 'map':
        return this.#emitBlocks(
          `{ ${this.#emitSkip({ kind: 'string', logicalType: undefined }, path, 'd')} }\n{ ${this.#emitSkip(type.values, path, 'd')} }`,
        )
      case 'union':
        return this.#emitUnion(type.branches, undefined, path)
      case 'record':
        return this.#recursive.has(type)
          ? this.#callSkip(type, type, path, depth)
          : this.#emitSkippedFields(type, path)
      default:
        return this.#emitValue(type, {}, path, depth)
    }
  }

  #emitSkippedFields(type: AvroType & { kind: 'record' }, path: string): string {
    const plan = this.#options.skipped?.[branchName(type)]
    if (plan !== undefined) return this.#emit(type, plan, path, 'd')
    return type.fields
      .map((field) => `{ ${this.#emitSkip(field.type, `${path}.${field.name}`, 'd')} }`)
      .join('\n')
  }

  /** Arrays of records and recursive records are skipped by functions, one for each record type. */
  #callSkip(type: AvroType, record: AvroType & { kind: 'record' }, path: string, depth = 'd'): string {
    // An array is known by the record of its items, since each mention of an array type is an object of its own.
    const isArray = type.kind === 'array'
    const key = isArray ? this.#arrayKey(record) : record
    let name = this.#skips.get(key)
    if (name === undefined) {
      name = `skip${this.#skips.size}`
      this.#skips.set(key, name)
      const item = isArray && this.#recursive.has(record) ? this.#callSkip(record, record, path) : undefined
      const fields = item ?? this.#emitSkippedFields(record, path)
      const body = isArray ? this.#emitBlocks(fields) : fields
      this.#functions.push(
        `function ${name}(b, p, e, d) {\n${isArray ? '' : DEPTH_CHECK}${body}\nreturn p\n}`,
      )
    }
    return `p = ${name}(b, p, e, ${depth})`
  }

  readonly #arrayKeys = new Map<AvroType, AvroType>()

  #arrayKey(items: AvroType): AvroType {
    let key = this.#arrayKeys.get(items)
    if (key === undefined) {
      key = { kind: 'array', items }
      this.#arrayKeys.set(items, key)
    }
    return key
  }

  #emitCall(type: AvroType, call: Call, path: string, depth: string): string {
    const key = type.kind === 'array' ? this.#arrayKey(type.items) : type
    const names = this.#calls.get(key) ?? new Map<Call, string>()
    this.#calls.set(key, names)
    let name = names.get(call)
    if (name === undefined) {
      name = `read${this.#counter++}`
      names.set(call, name)
      const check = this.#recursive.has(type) ? DEPTH_CHECK : ''
      const body = this.#emit(type, call.plan(this), path)
      this.#functions.push(
        `function ${name}(b, p, e, d) {\n${check}let v = ${call.initial}\n${body}\nP = p\nreturn v\n}`,
      )
    }
    return `const r = ${name}(b, p, e, ${depth}); p = P`
  }

  #emitBoolean(plan: Plan): string {
    const value = this.variable()
    return `const ${value} = b[p++]; if (${value} !== 0 && ${value} !== 1) bad(p, 'a boolean is neither 0 nor 1')
${plan.boolean?.(`(${value} === 1)`) ?? ''}`
  }

  #emitInteger(kind: 'int' | 'long', plan: Plan, path: string): string {
    if (plan.halves !== undefined || plan.number === undefined) {
      expectPlan(plan, 'halves', path)
      return `p = readLong(b, p, e)\n${plan.halves ?? ''}`
    }
    expectPlan(plan, 'number', path)
    const value = this.variable()
    const slow = kind === 'int' ? 'readInt' : 'readNumber'
    return `let ${value} = b[p++]
if (${value} < 128) ${value} = (${value} >>> 1) ^ -(${value} & 1); else { p = ${slow}(b, p - 1, e); ${value} = N }
${plan.number(value)}`
  }

  #emitLength(length: string): string {
    return `let ${length} = b[p++]
if (${length} < 128 && (${length} & 1) === 0) { ${length} >>>= 1; if (${length} > e - p) bad(p, 'a length is beyond the end') } else { p = readLength(b, p - 1, e); ${length} = N }`
  }

  #emitBlocks(item: string): string {
    const count = this.variable()
    const end = this.variable()
    const { sizedBlock } = this.#options
    const head = sizedBlock === undefined ? '' : this.variable()
    const place = { head, items: 'p', end: 'Q', count: 'N' }
    const onSized = sizedBlock === undefined ? '' : `if (Q >= 0) { ${sizedBlock(place)} }`
    return `for (;;) {
${head === '' ? '' : `const ${head} = p`}
let ${count} = b[p++], ${end} = -1
if (${count} < 128 && (${count} & 1) === 0) ${count} >>>= 1; else { p = readBlock(b, p - 1, e); ${count} = N; ${end} = Q; ${onSized} }
if (${count} === 0) break
if (${count} > e - p) bad(p, 'a block count is beyond the end')
do {
${item}
if (p > e) bad(p, 'it ends within a list')
} while (--${count} > 0)
if (${end} >= 0 && ${end} !== p) bad(p, 'a block does not have the size that it claims')
}`
  }

  #emitUnion(branches: readonly AvroType[], plans: Record<string, Plan> | undefined, path: string): string {
    const tag = this.variable()
    const reference = branches.findIndex((branch) => branchName(branch) === 'PayloadReference')
    const offloadable = reference >= 0 ? this.#options.offloadable : undefined
    const tagAt = offloadable === undefined ? '' : this.variable()
    const cases = branches.map((branch, index) => {
      const name = branchName(branch)
      const depth = this.#recursive.has(branch) ? 'd + 1' : 'd'
      let code: string
      if (plans !== undefined) {
        const plan = ownPlan(plans, name)
        if (plan === undefined) throw incompatible(`${path} may be a ${name}, which is not expected there`)
        code = this.#emit(branch, plan, `${path}<${name}>`, depth)
      } else if (branch.kind === 'string' && offloadable !== undefined) {
        const place = { tagAt, referenceBranch: reference, reference: branches[reference]! }
        const string = (at: string, length: string) => offloadable({ ...place, at, length })
        code = this.#emitValue(branch, { string }, path, depth)
      } else if (branch.kind === 'long') {
        // A long in a union is a value of the user's: any int64.
        code = this.#emitInteger('long', {}, path)
      } else {
        code = this.#emitSkip(branch, `${path}<${name}>`, depth)
      }
      return `case ${index * 2}: {\n${code}\nbreak\n}`
    })
    return `${tagAt === '' ? '' : `const ${tagAt} = p`}
let ${tag} = b[p++]
if (!(${tag} < 128)) { p = readTag(b, p - 1, e); ${tag} = N }
switch (${tag}) {
${cases.join('\n')}
default: bad(p, 'a union tag is unknown')
}`
  }
}

const DEPTH_CHECK = `if (d > ${MAX_VALUE_DEPTH}) bad(p, 'values are nested deeper than ${MAX_VALUE_DEPTH} levels')\n`
