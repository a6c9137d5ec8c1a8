import type { OutgoingRecord } from '../kafka/checked-producer.ts'
import type { RecordQueueOptions } from './record-queue.ts'

/** FAKE of the checked send, for replies that a broker does not give on demand: what becomes of each record is what `sendOne` does. */
export function sendEachBy(
  sendOne: (topic: string, record: OutgoingRecord) => Promise<unknown>,
): RecordQueueOptions['send'] {
  return (topic, records, onSettled) => {
    records.forEach((record, index) => {
      sendOne(topic, record).then(
        () => onSettled(index, undefined),
        (error: unknown) => onSettled(index, error),
      )
    })
  }
}
