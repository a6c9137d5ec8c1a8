import { asText } from './foreign-values.ts'
import { type NodeLog, numberOf } from './node-log.ts'
import { NodeTraceLog } from './node-trace-log.ts'

/** Types of the nodes that stream to the user. */
const STREAMING_NODE_TYPES: ReadonlySet<string> = new Set(['message', 'node-end'])

/**
 * The log of a workflow run, which knows by itself when the user saw something first (source description: class `WorkflowLog`): the first node
 * that is added and streams to the user, one whose node id begins with `message:` or `node-end:`, sets `firstFrameDuration` to the time from
 * the log's start to its own. A duration that is known already stays.
 */
export class WorkflowLog extends NodeTraceLog {
  override addNodeLog(nodes: NodeLog | readonly NodeLog[]): void {
    super.addNodeLog(nodes)
    if (this.firstFrameDuration >= 0) return
    const first = this.trace.find(({ nodeId }) =>
      STREAMING_NODE_TYPES.has(asText(nodeId).split(':', 1)[0] ?? ''),
    )
    if (first !== undefined) this.firstFrameDuration = numberOf(first.startTime) - numberOf(this.startTime)
  }
}
