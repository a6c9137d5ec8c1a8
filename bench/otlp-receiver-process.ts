/** An OTLP receiver in a process of its own; prints its URL. */
import { OtlpReceiver } from '../src/local/otlp-receiver.ts'

const receiver = new OtlpReceiver()
await receiver.start()
process.stdout.write(`${receiver.url}\n`)
