import type { LetterList, LetterSummary } from '../audit/dead-letter-list.ts'
import type { ReplayCounts } from '../audit/dead-letter-replay.ts'
import type { StoredLetter } from '../audit/stored-letter.ts'

const SID_WIDTH = 44
const MESSAGE_WIDTH = 100

/** One line a record, columns aligned. */
export function letterTable(summaries: readonly LetterSummary[]): string {
  const head = ['WRITTEN', 'PLACE', 'REASON', 'BYTES', 'LETTERS', 'SID', 'ERROR']
  const rows = summaries.map((one) => [
    one.writtenAt,
    `${one.topic}/${one.partition}/${one.offset}`,
    one.reason,
    one.valueBytes === null ? '-' : `${one.valueBytes}${one.isValueOmitted ? ' (left out)' : ''}`,
    String(one.letters),
    one.sid === null ? '-' : cut(printable(one.sid), SID_WIDTH),
    cut(printable(one.errorMessage), MESSAGE_WIDTH),
  ])
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  )
  return [head, ...rows]
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function listSummary(found: LetterList, shown: number, topic: string, strangers: number): string {
  const others =
    strangers === 0 ? '' : `\n${strangers} records of ${topic} are no dead letters of a Sidereal worker.`
  if (found.records === 0) return `No dead letters match in ${topic}.${others}`
  const reasons = found.reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')
  const newest = shown < found.records ? `, the newest ${shown} shown (--limit)` : ''
  return `${found.records} records${newest}: ${reasons}${others}`
}

/** All that a letter says, and the first bytes of its value. */
export function letterDetails(letter: StoredLetter, maxBytes: number): string {
  const { firstArrival, key, omitted, value } = letter
  const lines: [string, string][] = [
    ['record', `${letter.topic}, partition ${letter.partition}, offset ${letter.offset}`],
    ['first received', `${isoOf(firstArrival.appendTimeMs)}${firstPlace(letter)}`],
    [
      'dead letter',
      `partition ${letter.letter.partition}, offset ${letter.letter.offset}, ${isoOf(letter.letter.writtenMs)}`,
    ],
    ['reason', `${letter.reason} (${letter.stage})`],
    ['error', `${letter.errorClass}: ${letter.errorMessage}`],
    ['schema id', letter.schemaId === '' ? '-' : letter.schemaId],
    ['worker', `group ${letter.connectorName}, instance ${letter.taskId}`],
    ['key', key === null ? '-' : key.toString('utf8')],
  ]
  for (const [name, values] of Object.entries(letter.headers)) {
    for (const one of Array.isArray(values) ? values : [values])
      lines.push([`header ${name}`, one.toString('utf8')])
  }
  const width = Math.max(...lines.map(([name]) => name.length))
  const text = lines.map(([name, what]) => `${printable(name).padEnd(width)}  ${cut(printable(what), 2_000)}`)
  if (omitted !== undefined) {
    text.push(
      `value: ${omitted.bytes} bytes, left out, since they are over the limit of the dead-letter topic; sha256 ${printable(omitted.sha256)}`,
    )
  } else if (value === null) text.push('value: none')
  else {
    const more = value.length > maxBytes ? `, the first ${maxBytes} of them (--bytes, --output)` : ''
    text.push(`value: ${value.length} bytes${more}`, ...hexLines(value.subarray(0, maxBytes)))
  }
  return text.join('\n')
}

export function letterJson(letter: StoredLetter): string {
  const { key, value, headers, ...rest } = letter
  const base64 = (one: Buffer | string): string => Buffer.from(one).toString('base64')
  return JSON.stringify({
    ...rest,
    sid: key === null ? null : key.toString('utf8'),
    keyBase64: key === null ? null : base64(key),
    headersBase64: Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one) => ({ name, value: base64(one) })),
    ),
    valueBase64: value === null ? null : base64(value),
  })
}

export function replaySummary(
  counts: ReplayCounts,
  { topic, isDryRun, ttlDays }: { topic: string; isDryRun: boolean; ttlDays: number },
): string {
  const { records, bytes, otherTopic, omitted, expired } = counts
  const reasons = [...counts.reasons].map(([reason, count]) => `${reason} ${count}`).join(', ')
  const size =
    bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`
  const lines: string[] = []
  if (omitted > 0)
    lines.push(`${omitted} records are left alone: their values are not in the dead-letter topic`)
  if (expired > 0)
    lines.push(
      `${expired} records are left alone: they arrived more than ${ttlDays} days ago, their rows are past their time to live (SIDEREAL_TTL_DAYS)`,
    )
  if (otherTopic > 0)
    lines.push(`${otherTopic} records are left alone: they are not of ${topic} (SIDEREAL_TOPIC)`)
  if (records === 0) lines.push('No dead letters to send match.')
  else if (isDryRun)
    lines.push(
      `${records} records (${size}) would be sent to ${topic}: ${reasons}. Nothing was sent: add --yes.`,
    )
  else
    lines.push(
      `${records} records (${size}) were sent to ${topic}: ${reasons}. The worker takes them as of their first arrival.`,
    )
  return lines.join('\n')
}

/** As `hexdump -C`: offset, sixteen bytes, and those of them that are ASCII. */
export function hexLines(bytes: Buffer): string[] {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16)
    const hex = row.toString('hex').replaceAll(/../g, '$& ').trim().padEnd(47)
    const text = [...row]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex}  |${text}|`)
  }
  return lines
}

/** Text of a stranger, safe on a terminal: control characters and marks that turn the direction are escaped. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString()
}

function firstPlace({ topic, partition, offset, firstArrival }: StoredLetter): string {
  const isSame =
    firstArrival.topic === topic && firstArrival.partition === partition && firstArrival.offset === offset
  return isSame
    ? ''
    : `, at ${firstArrival.topic}, partition ${firstArrival.partition}, offset ${firstArrival.offset}: it was replayed before`
}
