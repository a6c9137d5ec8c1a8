import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportersFromEnv } from './exporter-env.ts'

/** The exporters of an environment that is not to be complained about. */
function clear(env: Record<string, string>) {
  const { exporters, problems } = exportersFromEnv(env)
  assert.deepEqual(problems, [])
  return exporters
}

/** What is said of an environment. */
const problemsOf = (env: Record<string, string>) => exportersFromEnv(env).problems

test('an OTLP exporter beside Kafka is there when an endpoint is, or when it is asked for', () => {
  assert.deepEqual(clear({}), [])
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }
  assert.deepEqual(clear(endpoint), [
    { kind: 'otlp', protocol: 'http/protobuf', url: 'http://collector:4318/v1/traces' },
  ])
  assert.deepEqual(clear({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), [])
  assert.deepEqual(clear({ ...endpoint, OTEL_TRACES_EXPORTER: 'console' }), [{ kind: 'console' }])
  assert.deepEqual(clear({ OTEL_TRACES_EXPORTER: 'otlp, console' }), [
    { kind: 'otlp', protocol: 'http/protobuf', url: 'http://localhost:4318/v1/traces' },
    { kind: 'console' },
  ])
  assert.deepEqual(clear({ OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), [
    { kind: 'otlp', protocol: 'grpc', url: 'http://localhost:4317' },
  ])
})

test('the variables for traces go before those for all signals, and headers are merged', () => {
  const [all] = clear({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://metrics:4318/base/',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20one,tenant=a',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces/own/path',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'authorization=Bearer%20two',
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '2000',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: '/traces-ca.pem',
  })
  assert.deepEqual(all, {
    kind: 'otlp',
    protocol: 'http/protobuf',
    // That for traces is taken as it is; to that for all signals the path is appended.
    url: 'https://traces/own/path',
    headers: { authorization: 'Bearer two', tenant: 'a' },
    compression: 'gzip',
    timeoutMs: 2000,
    tls: { caPath: '/traces-ca.pem' },
  })
  const [base] = clear({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://metrics:4318/base/' })
  assert.equal(base?.kind === 'otlp' && base.url, 'http://metrics:4318/base/v1/traces')
})

test('an address without a scheme is for gRPC, and is talked to by TLS unless it is said otherwise', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }
  assert.deepEqual(clear(env), [{ kind: 'otlp', protocol: 'grpc', url: 'https://collector:4317' }])
  const plain = { ...env, OTEL_EXPORTER_OTLP_INSECURE: 'true' }
  assert.deepEqual(clear(plain), [{ kind: 'otlp', protocol: 'grpc', url: 'http://collector:4317' }])
})

test('the source’s variables: gRPC in plain text to its endpoint, when it is switched on, with OpenTelemetry’s headers', () => {
  const env = { OTLP_ENABLE: '1', OTLP_ENDPOINT: 'collector:4317', OTLP_TRACE_TIMEOUT: '3000' }
  const otlp = { kind: 'otlp', protocol: 'grpc', url: 'http://collector:4317', timeoutMs: 3000 }
  assert.deepEqual(clear(env), [otlp])
  assert.deepEqual(clear({ ...env, OTEL_EXPORTER_OTLP_HEADERS: 'authorization=x' }), [
    { ...otlp, headers: { authorization: 'x' } },
  ])
  assert.deepEqual(clear({ ...env, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }), [
    { ...otlp, protocol: 'http/protobuf', url: 'http://collector:4317/v1/traces' },
  ])
  assert.deepEqual(clear({ ...env, OTLP_ENABLE: 'false' }), [])
  assert.deepEqual(problemsOf({ OTLP_ENDPOINT: 'collector:4317' }), [
    'OTLP_ENDPOINT does nothing without OTLP_ENABLE=true: spans go to Kafka only',
  ])
})

test('where both families say different things OpenTelemetry’s counts, and it is told', () => {
  const both = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://standard:4318',
    OTLP_ENABLE: 'true',
    OTLP_ENDPOINT: 'source:4317',
  }
  assert.deepEqual(exportersFromEnv(both), {
    exporters: [{ kind: 'otlp', protocol: 'http/protobuf', url: 'http://standard:4318/v1/traces' }],
    problems: ['OTEL_EXPORTER_OTLP_ENDPOINT and OTLP_ENDPOINT differ: OTEL_EXPORTER_OTLP_ENDPOINT counts'],
  })
  const off = exportersFromEnv({ ...both, OTLP_ENABLE: '0' })
  assert.equal(off.exporters.length, 1)
  assert.deepEqual(off.problems, [
    'OTEL_EXPORTER_OTLP_ENDPOINT and OTLP_ENABLE contradict each other: OTEL_EXPORTER_OTLP_ENDPOINT counts',
  ])
  const times = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://standard:4318', OTLP_TRACE_TIMEOUT: '2000' }
  const late = exportersFromEnv({ ...times, OTEL_EXPORTER_OTLP_TIMEOUT: '5000' })
  assert.deepEqual(late.problems, [
    'OTEL_EXPORTER_OTLP_TIMEOUT and OTLP_TRACE_TIMEOUT differ: OTEL_EXPORTER_OTLP_TIMEOUT counts',
  ])
  assert.equal(Object(late.exporters[0]).timeoutMs, 5_000)
  const unusable = exportersFromEnv({ ...times, OTEL_EXPORTER_OTLP_TIMEOUT: 'soon' })
  assert.deepEqual(unusable.problems, ['OTEL_EXPORTER_OTLP_TIMEOUT is not a whole number: it is left out'])
  assert.equal(Object(unusable.exporters[0]).timeoutMs, 2_000)
  const generic = { ...times, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: 'soon', OTEL_EXPORTER_OTLP_TIMEOUT: '5000' }
  assert.deepEqual(exportersFromEnv(generic).problems, [
    'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT is not a whole number: it is left out',
    'OTEL_EXPORTER_OTLP_TIMEOUT and OTLP_TRACE_TIMEOUT differ: OTEL_EXPORTER_OTLP_TIMEOUT counts',
  ])
  const none = exportersFromEnv({ OTEL_TRACES_EXPORTER: 'none', OTLP_ENABLE: '1', OTLP_ENDPOINT: 'a:1' })
  assert.deepEqual(none, {
    exporters: [],
    problems: ['OTEL_TRACES_EXPORTER and OTLP_ENABLE contradict each other: OTEL_TRACES_EXPORTER counts'],
  })
})

test('what cannot be used is told by its name, without its value, and the rest holds', () => {
  const { exporters, problems } = exportersFromEnv({
    OTEL_TRACES_EXPORTER: 'otlp,zipkin',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'br',
    OTEL_EXPORTER_OTLP_TIMEOUT: 'soon',
    OTEL_EXPORTER_OTLP_HEADERS: 'secret,tenant=a',
  })
  assert.deepEqual(exporters, [
    {
      kind: 'otlp',
      protocol: 'http/protobuf',
      url: 'http://localhost:4318/v1/traces',
      headers: { tenant: 'a' },
    },
  ])
  assert.deepEqual(problems, [
    'OTEL_TRACES_EXPORTER: zipkin is none of otlp, console, none: it is left out',
    'OTEL_EXPORTER_OTLP_PROTOCOL is neither grpc nor http/protobuf: http/protobuf is used',
    'OTEL_EXPORTER_OTLP_TIMEOUT is not a whole number: it is left out',
    'OTEL_EXPORTER_OTLP_COMPRESSION is neither gzip nor none: nothing is compressed',
    'OTEL_EXPORTER_OTLP_HEADERS has entries that are not key=value, percent-encoded: they are left out',
  ])
  for (const endpoint of ['collector:4318', 'ftp://collector', 'http://'])
    assert.deepEqual(exportersFromEnv({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }), {
      exporters: [],
      problems: ['OTEL_EXPORTER_OTLP_ENDPOINT is not a URL of http or https: no spans go there'],
    })
  assert.deepEqual(problemsOf({ OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'a=b' }), [
    'OTEL_EXPORTER_OTLP_TRACES_HEADERS does nothing without an endpoint or OTEL_TRACES_EXPORTER=otlp',
  ])
  const ofTraces = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }
  assert.deepEqual(problemsOf({ ...ofTraces, OTEL_TRACES_EXPORTER: 'console' }), [
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT does nothing, OTEL_TRACES_EXPORTER does not name otlp',
  ])
  assert.deepEqual(problemsOf({ ...ofTraces, OTEL_TRACES_EXPORTER: 'none' }), [])
  assert.deepEqual(problemsOf({ OTLP_TRACE_TIMEOUT: '3000' }), [
    'OTLP_TRACE_TIMEOUT does nothing without an endpoint or OTEL_TRACES_EXPORTER=otlp',
  ])
  assert.deepEqual(problemsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4317' }), [
    'OTEL_EXPORTER_OTLP_ENDPOINT has the port of gRPC, and http/protobuf is spoken: is OTEL_EXPORTER_OTLP_PROTOCOL=grpc meant?',
  ])
})
