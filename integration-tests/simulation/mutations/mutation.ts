/** A text that is in a file exactly once, and what stands there in the mutant. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Mutation {
  /** The rule that is taken out, in words. */
  readonly name: string
  readonly edits: readonly Edit[]
}

export function mutation(name: string, file: string, find: string, replace: string): Mutation {
  return { name, edits: [{ file, find, replace }] }
}

export const SOURCE = 'src/worker/source/'
export const ASSEMBLE = 'src/worker/assemble/'
export const DELIVER = 'src/worker/deliver/'
