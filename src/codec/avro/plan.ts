import { SiderealError } from '../../model/errors.ts'

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
  offloadable?: (length: string) => string
  /** Plans for records that are skipped otherwise, by name without namespace. */
  skipped?: Record<string, Plan>
}

export function incompatible(what: string): SiderealError {
  return new SiderealError(
    'SIDEREAL_SCHEMA_INCOMPATIBLE',
    `no walk can be made for the writer schema: ${what}`,
  )
}
