import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { editDistance, nearest } from './nearest-key.ts'
import {
  parseBoolean,
  parseBrokers,
  parseDuration,
  parseHeaders,
  parseInteger,
  parseObjectStoreUrl,
  parseRatio,
  parseSinks,
  parseSize,
} from './values.ts'

describe('values', () => {
  test('sizes have units of 1024', () => {
    assert.equal(parseSize('400MB'), 400 * 1024 * 1024)
    assert.equal(parseSize('5 kb'), 5120)
    assert.equal(parseSize('5120'), 5120)
    assert.equal(parseSize('0.5GB'), 512 * 1024 * 1024)
    for (const wrong of ['', 'MB', '5XB', '-5', '1e3', '99999999999GB'])
      assert.throws(() => parseSize(wrong), wrong)
  })

  test('a ratio is off at 0, and else a thousandth to 1', () => {
    assert.equal(parseRatio('0'), 0)
    assert.equal(parseRatio(' 0.2 '), 0.2)
    assert.equal(parseRatio('0.001'), 0.001)
    assert.equal(parseRatio('1'), 1)
    for (const wrong of ['', '0.0005', '1.1', '-0.1', '20%', '.5', '1e-2', 'NaN'])
      assert.throws(() => parseRatio(wrong), /from 0.001 to 1/, wrong)
  })

  test('durations are milliseconds unless they say otherwise', () => {
    assert.equal(parseDuration('10000'), 10_000)
    assert.equal(parseDuration('10s'), 10_000)
    assert.equal(parseDuration('15m'), 900_000)
    assert.throws(() => parseDuration('5 days'))
  })

  test('whole numbers and truth values are read strictly', () => {
    assert.equal(parseInteger('-7'), -7)
    for (const wrong of ['1.5', '0x10', '', '9007199254740993'])
      assert.throws(() => parseInteger(wrong), wrong)
    assert.equal(parseBoolean('Yes'), true)
    assert.equal(parseBoolean('0'), false)
    assert.throws(() => parseBoolean('maybe'))
  })

  test('brokers have host and port', () => {
    assert.deepEqual(parseBrokers('a:9092, [::1]:9093'), ['a:9092', '[::1]:9093'])
    for (const wrong of ['', 'a', 'a:0', 'a:99999', 'http://a:9092', '::1:9092'])
      assert.throws(() => parseBrokers(wrong), wrong)
  })

  test('sinks are required unless they say best-effort', () => {
    assert.deepEqual(parseSinks('clickhouse, otlp:best-effort'), [
      { name: 'clickhouse', mode: 'required' },
      { name: 'otlp', mode: 'best-effort' },
    ])
    for (const wrong of ['', 'click', 'otlp?', 'otlp:maybe', 'otlp,otlp'])
      assert.throws(() => parseSinks(wrong), wrong)
  })

  test('headers may hold any value, percent-encoded', () => {
    assert.deepEqual(parseHeaders('A=1, b=x%2Cy=z'), { a: '1', b: 'x,y=z' })
    for (const wrong of ['=1', 'a', 'a=%zz']) assert.throws(() => parseHeaders(wrong), wrong)
  })

  test('an object store is S3 or a directory', () => {
    assert.equal(parseObjectStoreUrl('s3://bucket/a/'), 's3://bucket/a')
    assert.equal(parseObjectStoreUrl('file:///data'), 'file:///data')
    for (const wrong of ['bucket', 's3://', 'file://data', 'http://x'])
      assert.throws(() => parseObjectStoreUrl(wrong), wrong)
  })
})

test('the nearest key is the one with the fewest edits', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3)
  assert.equal(editDistance('quite', 'quiet'), 1)
  assert.equal(editDistance('', 'abc'), 3)
  assert.equal(nearest('TOPC', ['GROUP', 'TOPIC', 'SINKS']), 'TOPIC')
  assert.equal(nearest('x', []), undefined)
})
