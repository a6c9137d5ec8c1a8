import { isErrorNode, type NodeLog } from '../../model/node-trace-log.ts'
import { clampTimesMs } from '../../model/time.ts'
import { NODE_LOGS_COLUMNS } from '../../storage/clickhouse/columns.ts'
import { AttributeWriter, ReferenceWriter } from './attribute-writer.ts'
import { KnownFields } from './known-fields.ts'
import { type LogContext, pushLogTimes, pushOffloadable, pushUsage } from './log-rows.ts'
import { Block } from './native/block.ts'
import type { ChunkPool } from './native/chunk-pool.ts'
import { pushRecordContext, uint32 } from './record-context.ts'

/** Entries of `config` that fill the column `model`. */
const MODEL_KEYS = ['model', 'model_name', 'modelName', 'domain']

/** Fills a block of `node_logs`: one row a node of a log. */
export class NodeRows {
  readonly block: Block<typeof NODE_LOGS_COLUMNS>
  readonly #references: ReferenceWriter
  readonly #input: AttributeWriter
  readonly #output: AttributeWriter
  readonly #config: AttributeWriter
  readonly #extra: AttributeWriter
  readonly #known: KnownFields

  constructor(pool: ChunkPool) {
    this.block = new Block(NODE_LOGS_COLUMNS, pool, ['model', 'payload_refs'])
    const c = this.block.columns
    this.#known = new KnownFields([{ column: c.model, type: 'text', keys: MODEL_KEYS }], c.config.keys)
    this.#references = new ReferenceWriter(this.block, c.payload_refs)
    this.#input = new AttributeWriter(c.input, c.input_types, this.#references)
    this.#output = new AttributeWriter(c.output, c.output_types, this.#references)
    this.#config = new AttributeWriter(c.config, c.config_types, this.#references)
    this.#extra = new AttributeWriter(c.extra, c.extra_types, this.#references)
  }

  /** @param place of the node in `trace[]` */
  append(context: LogContext, node: NodeLog, place: number): void {
    const c = this.block.columns
    const { log } = context
    c.app_id.pushString(log.appId)
    c.sid.pushString(log.sid)
    c.log_id.pushString(log.logId)
    c.place.push(place)
    c.revision.push(uint32(log.revision))
    c.log_time.push(context.logTimeNs)
    pushLogTimes(c, node, clampTimesMs(node.startTimeMs, node.endTimeMs))
    c.node_first_cost_time.push(node.nodeFirstCostTime)
    c.id.pushString(node.id)
    c.node_sid.pushString(node.sid)
    c.node_id.pushString(node.nodeId)
    c.node_type.pushString(node.nodeType)
    c.node_name.pushString(node.nodeName)
    c.func_id.pushString(node.funcId)
    c.func_type.pushString(node.funcType)
    c.func_name.pushString(node.funcName)
    for (const id of node.nextLogIds) c.next_log_ids.items.pushString(id)
    c.next_log_ids.endRow()
    c.trace_id.pushString(log.traceId ?? '')
    c.uid.pushString(log.uid)
    c.chat_id.pushString(log.chatId)
    c.service_id.pushString(log.serviceId)
    c.flow_id.pushString(log.flowId)
    c.sub.pushString(log.sub)
    c.running_status.pushBool(node.runningStatus)
    c.is_error.pushBool(isErrorNode(node))
    pushOffloadable(c.llm_output, node.llmOutput, 'llm_output', this.#references)
    pushUsage(c, node.data.usage)
    this.#input.write(node.data.input, 'data.input.')
    this.#output.write(node.data.output, 'data.output.')
    this.#config.write(node.data.config, 'data.config.', this.#known)
    this.#known.pushRow(this.block.rows)
    node.logs.forEach((line, index) => {
      pushOffloadable(c.logs.items, line, `logs.${index}`, this.#references)
    })
    c.logs.endRow()
    this.#extra.write(node.extra, 'extra.')
    this.#references.endRow()
    pushRecordContext(c, context)
    this.block.endRow()
  }

  reset(): void {
    this.block.reset()
    this.#known.endBlock()
  }
}
