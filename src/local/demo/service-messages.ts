import type { TracingStats } from '../../producer/index.ts'

/** What a demo service tells its parent. */
export type ServiceReport =
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'stopped'; readonly spans: TracingStats['spans']; readonly logs: TracingStats['logs'] }

/** What the parent tells it. */
export interface StopOrder {
  readonly type: 'stop'
}

export function isStopOrder(message: unknown): message is StopOrder {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'stop'
}
