import { setTimeout as sleep } from 'node:timers/promises'
import { type Span, SpanStatusCode, trace } from '@opentelemetry/api'
import { NodeLog, NodeTraceLog } from '../../producer/index.ts'
import { type Answer, type Handler, post } from './http.ts'
import { countTokens, type DemoRequest, demoAnswer, planRequest } from './scenario.ts'
import { requestIndex } from './tools-service.ts'

export interface WorkflowOptions {
  readonly toolsUrl: string
  /** Takes each finished log, once. */
  readonly publish: (log: NodeTraceLog, traceId: string) => void
}

/** Runs a request through its nodes: start, knowledge and plugin side by side, models, a message, end. */
export function workflowService(options: WorkflowOptions): Handler {
  return async (_path, body) => {
    const request = planRequest(requestIndex(body))
    const log = new NodeTraceLog({
      serviceId: 'flow-demo',
      flowId: 'flow-demo',
      sub: 'workflow',
      caller: 'entry',
      logCaller: 'chat',
      question: request.question,
    })
    const run = new WorkflowRun(request, log, options.toolsUrl)
    const answer = await run.run()
    log.setEnd()
    options.publish(log, trace.getActiveSpan()?.spanContext().traceId ?? '')
    return answer
  }
}

class WorkflowRun {
  readonly #request: DemoRequest
  readonly #log: NodeTraceLog
  readonly #toolsUrl: string
  readonly #tracer = trace.getTracer('demo-workflow')

  constructor(request: DemoRequest, log: NodeTraceLog, toolsUrl: string) {
    this.#request = request
    this.#log = log
    this.#toolsUrl = toolsUrl
  }

  async run(): Promise<Answer> {
    const { usesKnowledge, usesPlugin, usesSecondModel, usesMessage, failure } = this.#request
    const branches = [...(usesKnowledge ? ['knowledge:1'] : []), ...(usesPlugin ? ['plugin:1'] : [])]
    const afterModel = [
      ...(usesSecondModel ? ['if-else:1'] : []),
      ...(usesMessage ? ['message:1'] : []),
      'end:1',
    ]
    await this.#node('start:1', 'start', branches.length > 0 ? branches : ['llm:1'], async (node) => {
      node.appendInputData('query', this.#request.question)
    })
    const [documents, plugin] = await Promise.all([
      usesKnowledge ? this.#knowledge() : '',
      usesPlugin ? this.#plugin() : '',
    ])
    const isAnswered = await this.#model('llm:1', afterModel.slice(0, 1), `${plugin}\n${documents}`)
    if (isAnswered && usesSecondModel) {
      await this.#node('if-else:1', 'if-else', ['llm:2'], async (node) => {
        node.appendOutputData('branch', 2)
      })
      await this.#model('llm:2', afterModel.slice(1, 2), this.#log.answer)
    }
    if (isAnswered && usesMessage) {
      await this.#node('message:1', 'message', ['end:1'], async (node) => {
        node.appendOutputData('message', this.#log.answer.slice(0, 40))
      })
    }
    await this.#node('end:1', 'end', [], async (node) => {
      node.appendOutputData('answer', this.#log.answer)
    })
    if (failure === 'none') this.#log.setStatus(0, 'success')
    return { status: isAnswered ? 200 : 502, body: { nodes: this.#log.trace.length } }
  }

  async #knowledge(): Promise<string> {
    let documents = ''
    await this.#node('knowledge:1', 'knowledge-base', ['llm:1'], async (node) => {
      const found = await post(`${this.#toolsUrl}/knowledge`, { index: this.#request.index })
      documents = textField(found.body, 'documents')
      node.appendInputData('query', this.#request.question)
      node.appendOutputData('documents', documents)
    })
    return documents
  }

  async #plugin(): Promise<string> {
    let result = ''
    await this.#node('plugin:1', 'plugin', ['llm:1'], async (node, span) => {
      const answer = await post(`${this.#toolsUrl}/plugin`, { index: this.#request.index })
      if (answer.status === 200) {
        result = textField(answer.body, 'result')
        node.appendOutputData('result', result)
        return
      }
      fail(node, span, `the plugin answered ${answer.status}`)
      this.#log.setStatus(20_502, 'a plugin failed')
    })
    return result
  }

  /** Streams an answer: a first frame, then the rest. False = the model failed. */
  async #model(nodeId: string, next: readonly string[], context: string): Promise<boolean> {
    const { question, firstFrameMs, modelMs, failure } = this.#request
    let isAnswered = true
    await this.#node(nodeId, 'spark-llm', next.length > 0 ? next : ['end:1'], async (node, span) => {
      node.appendConfigData({ model: 'spark-4.0-ultra', max_tokens: 4096 })
      node.appendInputData('prompt', `${context}\n${question}`)
      span.setAttribute('gen_ai.request.model', 'spark-4.0-ultra')
      await sleep(firstFrameMs)
      if (failure === 'model') {
        isAnswered = false
        fail(node, span, 'the model refused the prompt')
        span.recordException(new Error('the model refused the prompt'))
        this.#log.setStatus(10_013, 'the model refused the prompt')
        return
      }
      node.setFirstFrameDuration()
      this.#log.addFirstFrameDuration(Date.now() - this.#log.startTime)
      span.addEvent('first_frame', { 'first_frame.ms': firstFrameMs })
      await sleep(modelMs)
      const answer = demoAnswer(this.#request, nodeId === 'llm:1' ? 1 : 2)
      const usage = {
        questionTokens: countTokens(question),
        promptTokens: countTokens(context) + countTokens(question),
        completionTokens: countTokens(answer),
      }
      node.appendUsageData({ ...usage, totalTokens: usage.promptTokens + usage.completionTokens })
      node.llmOutput = answer
      node.appendOutputData('text', answer)
      span.setAttribute('gen_ai.usage.input_tokens', usage.promptTokens)
      span.setAttribute('gen_ai.usage.output_tokens', usage.completionTokens)
      span.setAttribute('llm.output', answer)
      this.#log.addAnswer(answer)
    })
    return isAnswered
  }

  /** Runs one node under a span of its own and adds its log, whatever happens. */
  async #node(
    nodeId: string,
    nodeType: string,
    next: readonly string[],
    work: (node: NodeLog, span: Span) => Promise<void>,
  ): Promise<void> {
    await this.#tracer.startActiveSpan(`node ${nodeType}`, async (span) => {
      const node = new NodeLog({ nodeId, nodeType, nodeName: nodeType })
      for (const id of next) node.setNextNodeId(id)
      node.addInfoLog('started')
      span.setAttribute('node.id', nodeId)
      span.setAttribute('node.type', nodeType)
      try {
        await work(node, span)
      } finally {
        node.setEnd()
        span.end()
        this.#log.addNodeLog(node)
      }
    })
  }
}

function fail(node: NodeLog, span: Span, reason: string): void {
  node.runningStatus = false
  node.addErrorLog(reason)
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason })
}

function textField(body: unknown, name: string): string {
  const value =
    typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined
  return typeof value === 'string' ? value : ''
}
