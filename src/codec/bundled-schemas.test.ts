import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSiderealError } from '../model/errors.ts'
import { BUNDLED_SCHEMA_NAMES, bundledSchema, bundledSchemas } from './bundled-schemas.ts'

test('the bundled schema is the newest version of the named record', () => {
  for (const name of BUNDLED_SCHEMA_NAMES) {
    const all = bundledSchemas(name)
    assert.deepEqual(
      all.map((schema) => schema.version),
      all.map((_, index) => index + 1),
    )
    const newest = bundledSchema(name)
    assert.deepEqual(newest, all.at(-1))
    const parsed: unknown = JSON.parse(newest.json)
    assert.ok(typeof parsed === 'object' && parsed !== null && 'name' in parsed && 'namespace' in parsed)
    assert.equal(`${parsed.namespace}.${parsed.name}`, name)
  }
})

test('schemas that are not there, as in a bundle, are an error that says where they were looked for, and what to do', () => {
  assert.throws(
    () => bundledSchemas('sidereal.Nothing' as never),
    (error) =>
      isSiderealError(error, 'SIDEREAL_CONFIG_INVALID') &&
      /schemas\/sidereal\.Nothing\/: .* out of the bundle/.test(error.message),
  )
})
