import type { EntryAnswer } from './entry-service.ts'
import { planRequest } from './scenario.ts'

const CONCURRENCY = 8

/** One request as its sender knows it. */
export interface SentRequest extends EntryAnswer {
  readonly index: number
  readonly isAnswered: boolean
}

/** Sends the requests, a few at a time, as users would. */
export async function sendRequests(options: {
  entryUrl: string
  count: number
  signal: AbortSignal
  onProgress: (done: number) => void
}): Promise<SentRequest[]> {
  const { entryUrl, count, signal, onProgress } = options
  const sent: SentRequest[] = []
  let next = 0
  const sender = async () => {
    for (let index = next++; index < count; index = next++) {
      const response = await fetch(`${entryUrl}/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ index, question: planRequest(index).question }),
        signal,
      })
      const answer = (await response.json()) as EntryAnswer
      sent.push({ ...answer, index, isAnswered: response.ok })
      onProgress(sent.length)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, sender))
  return sent
}
