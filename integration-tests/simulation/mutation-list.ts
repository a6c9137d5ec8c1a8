import { ASSEMBLY_MUTATIONS } from './mutations/assembly.ts'
import { CAP_MUTATIONS } from './mutations/caps.ts'
import { DELIVERY_MUTATIONS } from './mutations/delivery.ts'
import { INTAKE_MUTATIONS } from './mutations/intake.ts'
import type { Mutation } from './mutations/mutation.ts'
import { OWNERSHIP_MUTATIONS } from './mutations/ownership.ts'
import { ROW_MUTATIONS } from './mutations/rows.ts'

/** Each rule of the worker (design of source, assembly, delivery, merge) and a version of the code without it. */
export const MUTATIONS: readonly Mutation[] = [
  ...OWNERSHIP_MUTATIONS,
  ...INTAKE_MUTATIONS,
  ...ASSEMBLY_MUTATIONS,
  ...DELIVERY_MUTATIONS,
  ...CAP_MUTATIONS,
  ...ROW_MUTATIONS,
]
