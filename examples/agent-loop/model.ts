export interface Message {
  readonly role: 'user' | 'assistant' | 'tool'
  readonly content: string
}

/** What a streaming model sends: pieces of the answer, or a tool that it wants called; at last the tokens. */
export type Chunk =
  | { readonly text: string }
  | { readonly tool: string; readonly input: { readonly city: string } }
  | { readonly promptTokens: number; readonly completionTokens: number }

/**
 * STANDS IN FOR A MODEL, so that the example runs without one: asks for the weather once, then answers with what the tool said. In a service
 * this is the stream of LangChain's `model.stream(messages)`, or of the client of your model.
 */
export async function* streamModel(messages: readonly Message[]): AsyncGenerator<Chunk> {
  const found = messages.find(({ role }) => role === 'tool')
  if (found === undefined) {
    yield { tool: 'weather', input: { city: 'Oslo' } }
    yield { promptTokens: 20, completionTokens: 5 }
    return
  }
  for (const word of ['It', ' is', ` ${found.content}`, '.']) yield { text: word }
  yield { promptTokens: 30, completionTokens: 4 }
}
