import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { KafkaMessage } from 'kafkajs'
import { CheckedProducer } from '../../src/kafka/checked-producer.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { DEAD_LETTER_HEADERS } from '../../src/model/dead-letter.ts'
import { REPLAY_HEADERS } from '../../src/model/first-arrival.ts'
import { testBatch, testSpan } from '../../src/sinks/fragments.testing.ts'
import { silentLogger } from '../../src/telemetry/logger.ts'
import { readTopic, runJava } from '../kafka/kafka-for-tests.ts'
import { freshName } from '../support/fresh.ts'
import { useServers } from '../support/servers.ts'
import { endWell, FreshPipeline } from './pipeline-for-tests.ts'
import { RecordSender } from './records-for-tests.ts'

const servers = await useServers()
const { brokers } = servers
const kafka = createKafka({ brokers }, { clientId: freshName('client'), logger: silentLogger })

const ESCAPE = '\u001b[31mred'
const NAMES = DEAD_LETTER_HEADERS

interface Letter {
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly sid: string | null
  readonly valueBytes: number | null
  readonly letters: number
}

describe('sidereal dead-letters', () => {
  test('lists each record once, shows it, and sends it again exactly as it came; what others wrote into headers misleads nobody', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: '2' })
    const deadLetterTopic = pipeline.env['SIDEREAL_DEAD_LETTER_TOPIC'] ?? ''
    const sender = await RecordSender.open(servers, pipeline.topic)
    await using producer = new CheckedProducer({ kafka, brokers, logger: silentLogger })
    const run = async (...args: string[]): Promise<string> => {
      const { code, output } = await pipeline.run(['dead-letters', ...args])
      assert.equal(code, 0, output)
      return output
    }
    const list = async (...args: string[]): Promise<Letter[]> =>
      (await run('list', '--json', ...args))
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line): Letter => JSON.parse(line))
    try {
      const good = sender.spanBatch(testBatch({ sid: 'sid-1', spans: [testSpan()] }))
      const garbage = Buffer.from(Array.from({ length: 700 }, (_, i) => (i + 255) % 256))
      const headers = {
        traceparent: Buffer.from('00-aa'),
        repeated: [Buffer.from('a'), Buffer.from([0xff, 0x00])],
        // Of a record that claims to be a dead letter of another place.
        [NAMES.topic]: Buffer.from('elsewhere'),
        [NAMES.offset]: Buffer.from('999'),
      }
      const sent = await sender.send([
        { key: Buffer.from(`sid-${ESCAPE}`), value: garbage, partition: 0, headers },
        { key: Buffer.from('another'), value: good, partition: 1 },
        { key: null, value: good, partition: 1 },
        { key: Buffer.from('sid-2'), value: null, partition: 0 },
      ])
      // kafkajs cannot write a header without a value; the Java client can.
      await runJava(
        'org.apache.kafka.tools.ConsoleProducer',
        [
          ...['--bootstrap-server', brokers.join(','), '--topic', pipeline.topic],
          ...[
            '--property',
            'parse.key=true',
            '--property',
            'parse.headers=true',
            '--property',
            'null.marker=NIL',
          ],
        ],
        'none:NIL,some:x\tjava\tgarbage\n',
      )
      const worker = pipeline.startWorker()
      await worker.metricsUrl()
      await pipeline.until('all are dead letters', async () => (await list()).length === 5)
      assert.doesNotMatch(worker.stdout, /met a bug/)

      // As after a crash between the letter and its commit: the same letter twice.
      const [first] = await readTopic(kafka, deadLetterTopic, 5)
      const twin = first ?? assert.fail()
      const { key, value, headers: twinHeaders } = twin.message
      await producer.send(deadLetterTopic, [{ key, value, headers: twinHeaders, partition: twin.partition }])
      await producer.send(deadLetterTopic, [{ key: Buffer.from('x'), value: Buffer.from('not a letter') }])

      const letters = await list()
      assert.deepEqual(letters.map(({ reason }) => reason).sort(), [
        'bad_frame',
        'bad_frame',
        'key_mismatch',
        'null_key',
        'tombstone',
      ])
      assert.deepEqual(letters.map((letter) => letter.letters).sort(), [1, 1, 1, 1, 2])
      const places = letters.map(({ partition, offset }) => `${partition}/${offset}`)
      for (const { partition, offset } of sent) assert.ok(places.includes(`${partition}/${offset}`))

      // Filters, each by itself.
      const [poison, mismatch, keyless, tombstone] = sent
      assert.equal((await list('--reason', 'null_key', 'tombstone')).length, 2)
      assert.deepEqual(
        (await list('--sid', 'another')).map(({ offset }) => offset),
        [mismatch?.offset],
      )
      assert.equal(
        (await list('--partition', '1')).length,
        places.filter((place) => place.startsWith('1/')).length,
      )
      assert.deepEqual(
        (await list('--partition', '1', '--offset', String(keyless?.offset))).map(({ reason }) => reason),
        ['null_key'],
      )
      assert.equal((await list('--topic', 'elsewhere')).length, 0, 'the claim of the record is not believed')
      assert.equal((await list('--until', '1h')).length, 0)
      assert.equal((await list('--since', '1h')).length, 5)
      assert.equal((await list('--limit', '2')).length, 2)
      const text = await run('list')
      assert.match(text, /5 records: bad_frame 2, /)
      assert.match(text, /1 records of .* are no dead letters/)
      assert.ok(!text.includes('\u001b'), 'a key cannot steer the terminal')

      // One letter, in full.
      const file = pipeline.newFile('value.bin')
      const place = `${poison?.partition}/${poison?.offset}`
      const shown = await run('show', place, '--output', file)
      assert.deepEqual(readFileSync(file), garbage)
      assert.match(shown, /bad_frame \(VALUE_CONVERTER\)/)
      assert.match(shown, /header traceparent +00-aa/)
      assert.match(shown, new RegExp(`header ${NAMES.offset} +999`), 'a header of the record itself')
      assert.match(shown, /700 bytes, the first 512 of them/)
      assert.match(shown, /^00000040 {2}3f 40 41 .* \|\?@ABCDEFGHIJKLMN\|$/m)
      assert.equal(shown.match(/^[0-9a-f]{8} {2}/gm)?.length, 32, 'no more than 512 bytes')
      assert.ok(!shown.includes('\u001b'))
      const missing = await pipeline.run(['dead-letters', 'show', '0/4711'])
      assert.equal(missing.code, 1)
      assert.match(missing.stderr, /SIDEREAL_DEAD_LETTER_NOT_FOUND/)
      const empty = await pipeline.run(['dead-letters', 'show', `0/${tombstone?.offset}`, '--output', file])
      assert.match(empty.stderr, /has no value: it is a tombstone/)

      // Sent again as it came. The worker makes it a dead letter again, of the new place.
      await endWell(worker)
      const both = await pipeline.run(['dead-letters', 'replay', '--yes', '--dry-run'])
      assert.equal(both.code, 1)
      assert.match(
        await run('replay', '--offset', place.split('/')[1] ?? '', '--partition', '0'),
        /would be sent/,
      )
      assert.match(await run('replay', '--yes'), /^5 records .* were sent to/m)
      const all = await readTopic(kafka, pipeline.topic, 10)
      const copies = (original: KafkaMessage) =>
        all.filter(({ message }) => message !== original && String(message.key) === String(original.key))
      const originalOf = ({ partition, offset }: { partition: number; offset: number }) =>
        all.find((one) => one.partition === partition && one.message.offset === String(offset))?.message ??
        assert.fail()
      for (const where of sent) {
        const original = originalOf(where)
        const copy = copies(original).find(
          ({ message }) => message.headers?.[REPLAY_HEADERS.offset] !== undefined,
        )
        const replayed = copy?.message ?? assert.fail(`no copy of ${where.partition}/${where.offset}`)
        assert.deepEqual(replayed.value, original.value)
        assert.deepEqual(replayed.key, original.key)
        const { ...left } = replayed.headers
        const claimed = Object.values(REPLAY_HEADERS).map((name) => String(left[name]))
        assert.deepEqual(claimed, [
          pipeline.topic,
          String(where.partition),
          String(where.offset),
          original.timestamp,
        ])
        for (const name of Object.values(REPLAY_HEADERS)) delete left[name]
        assert.deepEqual(left, original.headers, 'its own headers, all of them, and no other')
      }
    } finally {
      await sender.close()
    }
  })

  test('a letter of another topic is never sent, and a record that fails a second time keeps its first arrival', async () => {
    const pipeline = await FreshPipeline.open(servers, { SIDEREAL_TOPIC_PARTITIONS: '1' })
    const deadLetterTopic = pipeline.env['SIDEREAL_DEAD_LETTER_TOPIC'] ?? ''
    const sender = await RecordSender.open(servers, pipeline.topic)
    await using producer = new CheckedProducer({ kafka, brokers, logger: silentLogger })
    try {
      const worker = pipeline.startWorker()
      await worker.metricsUrl()
      await sender.send([{ key: Buffer.from('sid-1'), value: Buffer.from('garbage') }])
      const settled = (count: number) =>
        pipeline.until(`${count} dead letters`, async () => {
          const { output } = await pipeline.run(['dead-letters', 'list', '--json'])
          return output.split('\n').filter((line) => line.startsWith('{')).length === count
        })
      await settled(1)
      const [letter] = await readTopic(kafka, deadLetterTopic, 1)
      const { message } = letter ?? assert.fail()
      await producer.send(deadLetterTopic, [
        { key: message.key, value: message.value, headers: { ...message.headers, [NAMES.topic]: 'victim' } },
      ])
      const first = await pipeline.run(['dead-letters', 'replay', '--yes'])
      assert.match(first.output, /1 records are left alone: they are not of/)
      assert.match(first.output, /^1 records .* were sent to/m)
      await settled(3)
      const again = await pipeline.run(['dead-letters', 'show', '0/1'])
      assert.match(again.output, /first received .* at .*, partition 0, offset 0: it was replayed before/)
      const second = await pipeline.run(['dead-letters', 'replay', '--offset', '1', '--yes'])
      assert.match(second.output, /^1 records .* were sent to/m)
      const all = await readTopic(kafka, pipeline.topic, 3)
      assert.deepEqual(
        all.map((one) => String(one.message.headers?.[REPLAY_HEADERS.offset])),
        ['undefined', '0', '0'],
      )
      await endWell(worker)
    } finally {
      await sender.close()
    }
  })
})
