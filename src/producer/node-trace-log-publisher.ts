import type { NodeTraceLog as NodeTraceLogRecord } from '../model/node-trace-log.ts'
import { type Identity, isValidSid } from './identity.ts'
import { recordText } from './node-log.ts'
import type { NodeTraceLog } from './node-trace-log.ts'
import type { RecordEncoder } from './record-encoder.ts'
import type { RecordQueue } from './record-queue.ts'
import { Trace } from './trace-context.ts'

export interface NodeTraceLogPublisherOptions {
  readonly encoder: Pick<RecordEncoder, 'addLog'>
  readonly queue: Pick<RecordQueue, 'accept' | 'drop'>
  /** For a log that belongs to no request that anybody knows. */
  readonly newSid: () => string
}

/** Publishes NodeTraceLogs through the queue of the spans. Never throws, never waits. */
export class NodeTraceLogPublisher {
  readonly #options: NodeTraceLogPublisherOptions

  constructor(options: NodeTraceLogPublisherOptions) {
    this.#options = options
  }

  /**
   * Publishes a log as it is now; it may change afterwards and be published again, as a further revision. A finished record (of
   * somebody who builds it himself) is taken as it is.
   */
  publish(log: NodeTraceLog | NodeTraceLogRecord): void {
    const { encoder, queue } = this.#options
    queue.accept('log', 1)
    let record: NodeTraceLogRecord
    try {
      record = 'toRecord' in log ? log.toRecord(this.#identity(log)) : log
    } catch (error) {
      queue.drop('log', 1, 'invalid', error)
      return
    }
    encoder.addLog(record)
  }

  #identity(log: NodeTraceLog): Identity {
    log.followRequest()
    const active = Trace.identity()
    // A second revision must carry the SID of the first one.
    if (!isValidSid(recordText(log.sid))) log.sid = active?.sid ?? this.#options.newSid()
    // The identity of another request than the log's own fills nothing in.
    return active?.sid === log.sid ? active : { sid: log.sid, appId: '', uid: '', chatId: '' }
  }
}
