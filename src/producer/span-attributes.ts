import type { Attributes, AttributeValue } from '@opentelemetry/api'
import { failureText, fieldOf, plainText } from './foreign-values.ts'
import { pythonJson } from './python-json.ts'

/**
 * A value as OpenTelemetry takes it in attributes and events alike: what it has no form for becomes JSON text. Undefined = nothing to say. Never
 * throws.
 */
export function attributeValue(value: unknown): AttributeValue | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return value
    case 'undefined':
      return undefined
    case 'object':
      if (value === null) return undefined
      return isPlainList(value) ? value : attributeText(value)
    default:
      return attributeText(value)
  }
}

/** Entries without a value are left out. Only a proxy makes it throw. */
export function attributesOf(values: Readonly<Record<string, unknown>> | undefined): Attributes {
  const attributes: Attributes = {}
  if (!values) return attributes
  for (const key of Object.keys(values)) {
    const clean = attributeValue(fieldOf(values, key))
    if (clean !== undefined) attributes[key] = clean
  }
  return attributes
}

/** A value as one line of text: texts as they are, all else as JSON. Never throws. */
export function attributeText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'function' || typeof value === 'symbol') return plainText(value)
  return pythonJson(value, { nonFinite: 0, replacedSurrogates: 0 })
}

/** Of one kind of primitive: what OpenTelemetry takes as a list. */
function isPlainList(value: object): value is string[] | number[] | boolean[] {
  try {
    if (!Array.isArray(value)) return false
    const type = typeof value[0]
    const isPrimitive = type === 'string' || type === 'number' || type === 'boolean'
    return value.length === 0 || (isPrimitive && value.every((item) => typeof item === type))
  } catch {
    // A proxy: what cannot be read of it is said in its JSON.
    return false
  }
}

/** What is thrown, as OpenTelemetry's exception attributes, but for the message, which the status has, too. Never throws. */
export function describeError(error: unknown): Attributes & { message: string } {
  try {
    if (!(error instanceof Error)) return { 'exception.type': typeof error, message: attributeText(error) }
    return {
      'exception.type': String(error.name),
      message: String(error.message),
      ...(typeof error.stack === 'string' ? { 'exception.stacktrace': error.stack } : {}),
    }
  } catch (failure) {
    return { 'exception.type': typeof error, message: failureText(failure) }
  }
}
