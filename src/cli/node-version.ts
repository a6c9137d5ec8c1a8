/** The oldest Node of `engines` in `package.json`: the first with zstd. */
const MIN_MAJOR = 22
const MIN_MINOR = 15

/** What is wrong with this version of Node (`process.versions.node`), if anything. */
export function nodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > MIN_MAJOR || (major === MIN_MAJOR && minor >= MIN_MINOR)) return undefined
  return `Node.js ${version} is too old: ${MIN_MAJOR}.${MIN_MINOR} or newer is needed. Install a newer Node.js.`
}
