/** An OTLP receiver in a process of its own. Prints its URL, and the count of spans for each line that it reads. */
import { createInterface } from 'node:readline'
import { OtlpReceiver } from '../src/local/otlp-receiver.ts'

const receiver = new OtlpReceiver({ keepsSpans: false })
await receiver.start()
process.stdout.write(`${receiver.url}\n`)
createInterface({ input: process.stdin })
  .on('line', () => process.stdout.write(`${receiver.spanCount}\n`))
  .on('close', () => void receiver.close())
