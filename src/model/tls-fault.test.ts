import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tlsFault } from './tls-fault.ts'

const keys = { ca: 'THE_CA', plain: 'set THE_TLS=false', client: 'THE_CERT' }
const coded = (message: string, code: string) => Object.assign(new Error(message), { code })

test('each fault of TLS is told by code or by the words of OpenSSL, with the key to set', () => {
  const cases: readonly (readonly [Error, RegExp])[] = [
    [coded('self-signed certificate in certificate chain', 'SELF_SIGNED_CERT_IN_CHAIN'), /set THE_CA/],
    [coded('certificate has expired', 'CERT_HAS_EXPIRED'), /expired: renew/],
    [coded('Hostname/IP does not match', 'ERR_TLS_CERT_ALTNAME_INVALID'), /another host/],
    [
      coded('write EPROTO 40:error:0A00010B:SSL routines:f:wrong version number:../x.c:77:\n', 'EPROTO'),
      /set THE_TLS=false$/,
    ],
    [
      new Error(
        'Connection error: 40:error:0A:SSL routines:f:ssl/tls alert bad certificate:../x.c:9:SSL alert',
      ),
      /set THE_CERT/,
    ],
    [
      new Error('40:error:0A:SSL routines:f:no protocols available:../x.c:9:'),
      /handshake failed \(no protocols available\)/,
    ],
    [
      coded('Client network socket disconnected before secure TLS connection was established', 'ECONNRESET'),
      /does not speak TLS/,
    ],
  ]
  for (const [error, says] of cases) {
    assert.match(tlsFault(error, keys) ?? '', says)
    const wrapped = new Error('fetch failed', { cause: new Error('again', { cause: error }) })
    assert.match(tlsFault(wrapped, keys) ?? '', says)
  }
})

test('an error that is none of TLS is left to others', () => {
  assert.equal(tlsFault(coded('connect ECONNREFUSED', 'ECONNREFUSED'), keys), undefined)
  assert.equal(tlsFault(coded('socket hang up', 'ECONNRESET'), keys), undefined)
  assert.equal(tlsFault(coded('x', 'toString'), keys), undefined)
  assert.equal(tlsFault('text', keys), undefined)
  const circle = new Error('a')
  circle.cause = circle
  assert.equal(tlsFault(circle, keys), undefined)
})
