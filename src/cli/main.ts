#!/usr/bin/env node
import { nodeProblem } from './node-version.ts'

// Before anything else is loaded: what an older Node lacks would be a syntax error somewhere.
const problem = nodeProblem(process.versions.node)
if (problem !== undefined) {
  console.error(`sidereal: ${problem}`)
  process.exit(1)
}
// Halves the CPU time of a start from the second one on. Not imported above: an older Node does not have it.
const { enableCompileCache } = await import('node:module')
enableCompileCache()
const { runProgram } = await import('./program.ts')
await runProgram(process.argv.slice(2))
