import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { KeyValueList } from '../model/any-value.ts'
import { isSiderealError } from '../model/errors.ts'
import { ContentLedger, isContentLedger } from './content-ledger.ts'
import { type ExpectedTrace, ValueDigest } from './expected.ts'
import { generateTrace } from './generator.ts'
import { LedgerWriter } from './ledger.ts'
import { LoadLedger } from './load-ledger.ts'
import type { LoadPlan } from './load-plan.ts'

const folder = mkdtempSync(join(tmpdir(), 'sidereal-ledger-'))
after(() => rmSync(folder, { recursive: true }))

const plan: LoadPlan = {
  seed: 3,
  run: 0xbeef,
  startMs: 1_700_000_000_000,
  traces: 4,
  spansPerTrace: 10,
  payloadShare: 0,
  hasLogs: true,
  openShare: 0,
  oddTimeShare: 0,
}

const freshPath = () => join(mkdtempSync(join(folder, 'ledger-')), 'ledger.jsonl')

const isLedgerInvalid = (error: unknown) => isSiderealError(error, 'SIDEREAL_LEDGER_INVALID')

async function collect(traces: AsyncIterable<ExpectedTrace>): Promise<ExpectedTrace[]> {
  const all: ExpectedTrace[] = []
  for await (const trace of traces) all.push(trace)
  return all
}

describe('the ledger of a load', () => {
  test('gives back what was sent, and what became of it', async () => {
    const path = freshPath()
    using ledger = new LedgerWriter(path, { topic: 't', plan })
    ledger.acknowledged(
      ledger.sending([
        [0, 0],
        [1, 1],
      ]),
      [
        [5, 77],
        [6, 78],
      ],
    )
    ledger.failed(ledger.sending([[1, 2]]), 'no answer')
    ledger.sending([[1, 3]])
    const read = await LoadLedger.read(path)
    assert.equal(read.topic, 't')
    const traces = [...read.traces()]
    assert.deepEqual(
      traces.map(({ sid }) => sid),
      [generateTrace(plan, 0).sid, generateTrace(plan, 1).sid],
    )
    const [first, second] = traces
    assert.equal(first?.revisions.length, 1)
    assert.deepEqual(first?.revisions[0]?.origin, { isAcknowledged: true, partition: 5, offset: 77 })
    assert.equal(first?.spans.length, 0)
    assert.equal(second?.spans.filter(({ origin }) => origin.isAcknowledged).length, 4)
    assert.equal(second?.spans.filter(({ origin }) => !origin.isAcknowledged).length, 4 + 2)
  })

  test('a last line that a kill cut short is left out', async () => {
    const path = freshPath()
    using ledger = new LedgerWriter(path, { topic: 't', plan })
    ledger.acknowledged(ledger.sending([[0, 0]]), [[0, 1]])
    appendFileSync(path, '{"type":"send","send":2,"records":[[1,')
    assert.equal([...(await LoadLedger.read(path)).traces()].length, 1)
  })

  test('never writes over a file, and a damaged file is an error that names the line', async () => {
    const path = freshPath()
    new LedgerWriter(path, { topic: 't', plan }).close()
    assert.throws(() => new LedgerWriter(path, { topic: 't', plan }), isLedgerInvalid)
    appendFileSync(path, 'not json\n')
    await assert.rejects(LoadLedger.read(path), /Line 2 of the ledger/)
    writeFileSync(
      path,
      `${readFileSync(path, 'utf8').split('\n')[0]}\n{"type":"send","send":1,"records":[[99,0]]}\n`,
    )
    await assert.rejects(LoadLedger.read(path), isLedgerInvalid)
    await assert.rejects(LoadLedger.read(join(folder, 'nowhere')), isLedgerInvalid)
  })
})

describe('content ledgers', () => {
  const header = '{"type":"content","version":1}'
  const ids = '"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607"'

  test('lines of one SID come together from several files, with typed values', async () => {
    const [one, other] = [freshPath(), freshPath()]
    const values =
      '["a",{"int":"5"}],["b",{"double":"-0"}],["c",{"map":[["k",{"array":[null,{"bool":true}]}]]}],["d",{"bytes":"AP8="}]'
    writeFileSync(
      one,
      `${header}\n{"type":"span","sid":"s1",${ids},"startTimeNs":"1700000000000000001","attributes":[${values}]}\n`,
    )
    const digest = `{"digest":[7,"${'ab'.repeat(32)}"]}`
    writeFileSync(
      other,
      `${header}\n{"type":"log","sid":"s2","logId":"${'0'.repeat(32)}","revision":0,"trace":[{}],"answer":${digest}}\n{"type":"span","sid":"s1",${ids}}\n`,
    )
    assert.ok(await isContentLedger(one))
    const ledger = await ContentLedger.read([one, other])
    assert.equal(ledger.traceCount, 2)
    const [first, second] = await collect(ledger.traces())
    assert.equal(first?.sid, 's1')
    assert.equal(first?.spans.length, 2)
    assert.equal(first?.spans[0]?.startTimeNs, 1_700_000_000_000_000_001n)
    assert.deepEqual(
      first?.spans[0]?.attributes?.map(({ value }) => value),
      [5n, -0, new KeyValueList([{ key: 'k', value: [null, true] }]), new Uint8Array([0, 255])],
    )
    assert.deepEqual(second?.revisions[0]?.answer, new ValueDigest(7, 'ab'.repeat(32)))
  })

  test('a misspelt field is an error and not a field that is left out', async () => {
    const path = freshPath()
    writeFileSync(path, `${header}\n{"type":"span","sid":"s1",${ids},"nmae":"x"}\n`)
    await assert.rejects(ContentLedger.read([path]), /Line 2 .* nmae|Line 2 .*Unrecognized/)
  })
})
