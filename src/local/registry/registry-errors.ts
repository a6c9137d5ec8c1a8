/** An answer of the registry that is not a success, with Confluent's error code: clients read the code, not the text. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly status: number
  readonly errorCode: number

  constructor(status: number, errorCode: number, message: string) {
    super(message)
    this.status = status
    this.errorCode = errorCode
  }
}

export const subjectNotFound = (subject: string) =>
  new RegistryError(404, 40401, `Subject '${subject}' not found.`)
export const versionNotFound = (version: string) =>
  new RegistryError(404, 40402, `Version ${version} not found.`)
export const schemaNotFound = () => new RegistryError(404, 40403, 'Schema not found')
export const configNotFound = (subject: string) =>
  new RegistryError(404, 40408, `Subject '${subject}' does not have subject-level compatibility configured`)
export const invalidSchema = (reason: string) => new RegistryError(422, 42201, `Invalid schema: ${reason}`)
export const invalidVersion = (version: string) =>
  new RegistryError(422, 42202, `The specified version '${version}' is not a valid version id.`)
export const invalidLevel = (level: string) =>
  new RegistryError(422, 42203, `Invalid compatibility level '${level}'.`)
export const incompatible = (messages: readonly string[]) =>
  new RegistryError(
    409,
    409,
    `Schema being registered is incompatible with an earlier schema; details: ${messages.join('; ')}`,
  )
