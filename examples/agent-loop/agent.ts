/**
 * An agent loop as LangChain runs it: call the model, call the tools it asks for, until it answers. Each step is a span and a NodeLog; the
 * request has one WorkflowLog.
 */
// A service writes: import { initTracing, NodeLog, Span, WorkflowLog } from 'sidereal/producer'
import { initTracing, NodeLog, Span, WorkflowLog } from '../../src/producer/index.ts'
import { type Message, streamModel } from './model.ts'

const MAX_STEPS = 5
const tracing = initTracing()

/** Gives the answer piece by piece; the span ends, and the log is published, when the stream was read or left. */
function answer(question: string): AsyncGenerator<string> {
  return new Span({ appId: 'weather-agent', uid: 'user-7' }).start('agent', async function* (span) {
    const log = new WorkflowLog({ flowId: 'weather', question })
    const messages: Message[] = [{ role: 'user', content: question }]
    try {
      for (let step = 1; step <= MAX_STEPS; step++) {
        const asked = yield* callModel(span, log, messages, step)
        if (asked === undefined) return
        messages.push({ role: 'tool', content: callTool(span, log, asked, step) })
      }
      throw new Error(`no answer after ${MAX_STEPS} steps`)
    } catch (error) {
      log.setStatus(1, String(error))
      throw error
    } finally {
      log.setEnd()
      tracing.publishNodeTraceLog(log)
      console.log(`SID ${span.sid}`)
    }
  })
}

interface ToolCall {
  readonly tool: string
  readonly input: { readonly city: string }
}

/** Passes the text of the model on as it comes, and returns the tool that it asks for, if any. */
async function* callModel(span: Span, log: WorkflowLog, messages: readonly Message[], step: number) {
  const node = new NodeLog({ nodeId: `llm:${step}`, nodeType: 'llm', nodeName: 'model' })
  node.appendInputData('messages', messages)
  let asked: ToolCall | undefined
  let message: NodeLog | undefined
  for await (const chunk of span.start('model', () => streamModel(messages))) {
    if ('text' in chunk) {
      // Made with the first piece: its start is when the user sees something, which gives the log its first frame.
      message ??= new NodeLog({ nodeId: `message:${step}`, nodeType: 'message', nodeName: 'answer' })
      message.llmOutput += chunk.text
      yield chunk.text
    } else if ('tool' in chunk) {
      asked = chunk
      node.appendOutputData('tool', chunk)
    } else {
      node.appendUsageData({ ...chunk, totalTokens: chunk.promptTokens + chunk.completionTokens })
    }
  }
  node.setEnd()
  log.addNodeLog(node)
  if (message !== undefined) {
    message.setEnd()
    log.addNodeLog(message)
    log.addAnswer(message.llmOutput)
  }
  return asked
}

function callTool(span: Span, log: WorkflowLog, { tool, input }: ToolCall, step: number): string {
  return span.start(tool, (toolSpan) => {
    const node = new NodeLog({ nodeId: `tool:${step}`, nodeType: 'tool', nodeName: tool })
    node.appendInputData('city', input.city)
    const result = `sunny in ${input.city}` // a real tool asks somebody
    node.appendOutputData('result', result)
    toolSpan.addInfoEvent(result, node)
    node.setEnd()
    log.addNodeLog(node)
    return result
  })
}

let text = ''
for await (const piece of answer('How is the weather in Oslo?')) text += piece
console.log(text)
if (!(await tracing.shutdown())) process.exitCode = 1
