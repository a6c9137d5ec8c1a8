import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ServerCredentials } from '@grpc/grpc-js'
import { OtlpReceiver } from '../../src/local/otlp-receiver.ts'
import { isSiderealError } from '../../src/model/errors.ts'
import { testBatch, testFragment, testRecord } from '../../src/sinks/fragments.testing.ts'
import { OtlpSink } from '../../src/sinks/otlp/otlp-sink.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'sidereal-tls-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A self-signed certificate for this machine, made for this run alone. */
function makeCertificate(name: string): { cert: Buffer; key: Buffer } {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync(
    'openssl',
    ['req', '-x509', ...newKey, '-keyout', key, '-out', cert, '-days', '1', ...subject],
    {
      stdio: 'ignore',
    },
  )
  return { cert: readFileSync(cert), key: readFileSync(key) }
}

test('over TLS: the receiver is checked against the authority given, and a client certificate is sent', {
  skip: hasOpenssl ? false : 'needs openssl to make certificates',
}, async () => {
  const server = makeCertificate('receiver')
  const client = makeCertificate('client')
  const pair = { private_key: server.key, cert_chain: server.cert }
  const receiver = new OtlpReceiver({ credentials: ServerCredentials.createSsl(client.cert, [pair], true) })
  await receiver.start()
  const url = `https://127.0.0.1:${receiver.port}`
  const trusted = new OtlpSink({ url, tls: { ca: server.cert, ...client }, timeoutMs: 5_000 })
  const untrusting = new OtlpSink({ url, tls: client, timeoutMs: 5_000 })
  const anonymous = new OtlpSink({ url, tls: { ca: server.cert }, timeoutMs: 5_000 })
  try {
    await trusted.start()
    await trusted.write([testFragment([testRecord(testBatch())])], new AbortController().signal)
    assert.equal(receiver.spans.length, 1)
    for (const sink of [untrusting, anonymous]) {
      await assert.rejects(sink.start(), (error) => isSiderealError(error, 'SIDEREAL_OTLP_FAILED'))
    }
  } finally {
    await Promise.all([trusted.close(), untrusting.close(), anonymous.close()])
    await receiver.close()
  }
})
