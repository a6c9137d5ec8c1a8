import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entriesFor, isRule, mayReceiveBaggage } from './baggage-hosts.ts'

test('by default only hosts that are ours by their name or address learn who a request belongs to', () => {
  const ours = [
    ...[
      'localhost',
      'LOCALHOST.',
      'tools',
      'work-flow_2',
      '127.0.0.1',
      '127.9.9.9',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
    ],
    ...[
      '192.168.7.1',
      '::1',
      '[::1]',
      'fd00::1',
      'fe80::1',
      '::ffff:10.0.0.1',
      'tools.default.svc',
      'a.b.cluster.local',
      'db.internal',
    ],
    ...['printer.local', 'my.localhost'],
  ]
  const theirs = [
    ...[
      undefined,
      '',
      '.',
      'example.com',
      'api.openai.com',
      '8.8.8.8',
      '172.32.0.1',
      '169.254.169.254',
      '100.64.0.1',
      '2001:db8::1',
    ],
    ...[
      '::ffff:8.8.8.8',
      '134744072',
      '0x8080808',
      'svc.example.com',
      'evil.locally',
      'internal.example.com',
    ],
  ]
  for (const host of ours) assert.equal(mayReceiveBaggage(host), true, host)
  for (const host of theirs) assert.equal(mayReceiveBaggage(host), false, String(host))
})

test('lists add hosts and take them away, and what is denied stays denied', () => {
  const rules = {
    allow: ['.example.com', 'api.partner.net', '*.cdn.net'],
    deny: ['secret.example.com', '10.0.0.1', '.svc'],
  }
  for (const host of ['example.com', 'a.example.com', 'api.partner.net', 'x.cdn.net', 'tools'])
    assert.equal(mayReceiveBaggage(host, rules), true, host)
  for (const host of ['secret.example.com', '10.0.0.1', 'tools.svc', 'partner.net', 'notexample.com']) {
    assert.equal(mayReceiveBaggage(host, rules), false, host)
  }
  assert.equal(mayReceiveBaggage('anywhere.org', { allow: ['*'] }), true)
})

test('an address is meant however it is written, and what is no network means nobody', () => {
  // A server that listens on all addresses sees those of IPv4 in the clothes of IPv6.
  for (const [host, rule] of [
    ['::ffff:10.0.0.7', '10.0.0.7'],
    ['::ffff:10.0.0.7', '10.0.0.0/8'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['localhost', 'LocalHost.'],
  ] as const) {
    assert.equal(mayReceiveBaggage(host), true, host)
    assert.equal(mayReceiveBaggage(host, { deny: [rule] }), false, `${host} ${rule}`)
  }
  assert.equal(mayReceiveBaggage('::ffff:8.8.8.8', { allow: ['8.8.8.8'] }), true)
  for (const rule of ['10.0.0.0/', '10.0.0.0/8.5', '10.0.0.0/33', '10.0.0.0/8/8', 'name/8', '/']) {
    assert.equal(mayReceiveBaggage('8.8.8.8', { allow: [rule] }), false, rule)
    assert.equal(isRule(rule), false, rule)
  }
})

test('a host may get entries of some names alone, unless it is denied', () => {
  const rules = {
    allow: ['api.partner.example'],
    deny: ['refused.partner.example'],
    entries: { '.partner.example': ['sid'], 'apm.vendor.example': ['vendor.session'], '10.0.0.0/8': [] },
  }
  assert.deepEqual(entriesFor('api.partner.example', rules), ['sid'])
  assert.deepEqual(entriesFor('refused.partner.example', rules), [])
  assert.deepEqual(entriesFor('APM.vendor.example.', rules), ['vendor.session'])
  assert.deepEqual(entriesFor('10.1.2.3', rules), [])
  assert.equal(entriesFor('127.0.0.1', rules), 'all')
  assert.deepEqual(entriesFor('elsewhere.example', rules), [])
  assert.deepEqual(entriesFor(undefined, rules), [])
})
