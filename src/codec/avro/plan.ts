import { SiderealError } from '../../model/errors.ts'
import type { AvroType } from './schema.ts'

/**
 * What a walk does at a value: a tree of the same shape as the schema, whose leaves are JavaScript source. Where there is no plan the
 * value is validated and skipped. The code finds the bytes in `b`, the position in `p`, the end in `e` and the nesting in `d`.
 */
export interface Plan {
  /** Code before and after the value. */
  enter?: string
  leave?: string
  /** string or bytes: code with the names of the first byte's position and of the length. */
  string?: (at: string, length: string) => string
  fixed?: { size: number; code: (at: string) => string }
  /** int, or long as a safe integer (others are refused). */
  number?: (value: string) => string
  /** long: code that finds its halves in `H` (signed) and `L` (unsigned). */
  halves?: string
  /** double: code with the position of its 8 bytes. */
  double?: (at: string) => string
  boolean?: (value: string) => string
  nothing?: string
  /** Union, by branch name (named types without their namespace). Where the writer has no union, the branch of its type counts. */
  branches?: Record<string, Plan>
  /** Record, by field name. Fields that the writer lacks are left out: `enter` has to set their default. */
  fields?: Record<string, Plan>
  /** Fields without which the walk makes no sense. */
  required?: readonly string[]
  /** Array. */
  items?: Plan
  /** Puts the value into a generated function of its own; `leave` finds what it returned in `r`. */
  call?: Call
}

/** Gives out names that no other code of the module has. */
export interface Names {
  variable(): string
}

/**
 * A function that returns a value and leaves the position behind it in `P`. Needed for recursion, and because V8 does not optimise
 * huge functions. The object itself is the identity of the function, so one has to be used wherever the same is meant.
 */
export interface Call {
  /** Leaves the value in the variable `v`. */
  plan: (names: Names) => Plan
  /** First value of `v`. */
  initial: string
}

export interface WalkOptions {
  /** Code at each string that may be offloaded: those beside a PayloadReference in a union. */
  offloadable?: (text: OffloadableText) => string
  /** Code at each block of an array or a map that tells its size. */
  sizedBlock?: (block: SizedBlock) => string
  /** Plans for records that are skipped otherwise, by name without namespace. */
  skipped?: Record<string, Plan>
}

/** A string that may be offloaded: names of the positions of its union's tag and of its first byte, and of its length. */
export interface OffloadableText {
  readonly tagAt: string
  readonly at: string
  readonly length: string
  /** The branch for references beside it: its index, and the writer’s record. */
  readonly referenceBranch: number
  readonly reference: AvroType
}

/** A block that tells its size: names of the positions of its head, of its first item and of its end, and of the count of its items. */
export interface SizedBlock {
  readonly head: string
  readonly items: string
  readonly end: string
  readonly count: string
}

export function incompatible(what: string): SiderealError {
  return new SiderealError(
    'SIDEREAL_SCHEMA_INCOMPATIBLE',
    `no walk can be made for the writer schema: ${what}`,
  )
}

const LEAVES = [
  'string',
  'fixed',
  'number',
  'halves',
  'double',
  'boolean',
  'nothing',
  'branches',
  'fields',
  'items',
] as const

/** A plan for another kind of value than the writer has must not pass unseen: it would leave a variable unset. */
export function expectPlan(plan: Plan, kind: (typeof LEAVES)[number], path: string): void {
  for (const leaf of LEAVES) {
    if (leaf !== kind && plan[leaf] !== undefined)
      throw incompatible(`${path} is of another type than expected`)
  }
}

/** The plan of a name, which may be one that every object has. */
export function ownPlan(plans: Record<string, Plan>, name: string): Plan | undefined {
  return Object.hasOwn(plans, name) ? plans[name] : undefined
}
