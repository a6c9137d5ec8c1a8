import { incompatible, type Names, type Plan, type WalkOptions } from './avro/plan.ts'
import type { AvroRecord, AvroType } from './avro/schema.ts'
import { WalkCompiler } from './avro/walk.ts'
import { createDecodeRuntime, type DecodeRuntime, type Refuse } from './decode-runtime.ts'

/** A walk over the values of a writer schema that somebody else than the codec makes. */
export interface WalkRequest {
  /** Over a field of the record instead of the whole. */
  readonly field?: string
  readonly plan: Plan | ((names: Names) => Plan)
  /** Parameters of the function behind `bytes, start, end`. */
  readonly parameters?: readonly string[]
  /** Declarations of the module. What decoders call (`DecodeRuntime`) is in scope as well. */
  readonly declarations?: string
  /** True when the plan leaves a value in `result`, which the walk returns. */
  readonly result?: boolean
  /** Code at values for which the plan has none. */
  readonly options?: WalkOptions
}

/**
 * Compiles a walk.
 * @throws SiderealError `SIDEREAL_SCHEMA_INCOMPATIBLE` when the plan does not fit the schema
 */
export function compileWalk<Walk>(schema: AvroRecord, request: WalkRequest, bad: Refuse): Walk {
  const { field, parameters = [], declarations = '', result = false, options = {} } = request
  const compiler = new WalkCompiler(field === undefined ? schema : fieldType(schema, field), options)
  const plan = typeof request.plan === 'function' ? request.plan(compiler) : request.plan
  if (result)
    compiler.entry('walk', parameters, { ...plan, enter: `let result\n${plan.enter ?? ''}` }, 'result')
  else compiler.entry('walk', parameters, plan)
  const runtime = createDecodeRuntime(bad)
  const names = Object.keys(runtime).join(', ')
  const source = compiler.source(`const { ${names} } = runtime\n${declarations}`, 'walk')
  const factory = new Function('bad', 'runtime', source) as (bad: Refuse, runtime: DecodeRuntime) => Walk
  return factory(bad, runtime)
}

function fieldType(schema: AvroRecord, name: string): AvroType {
  const found = schema.fields.find((field) => field.name === name)
  if (found === undefined) throw incompatible(`the record has no field "${name}"`)
  return found.type
}
