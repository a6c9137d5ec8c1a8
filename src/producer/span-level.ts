/** Names of the events that are log lines, by their level (source description: class `SpanLevel`). */
export const SpanLevel = { DEBUG: 'DEBUG', INFO: 'INFO', WARN: 'WARN', ERROR: 'ERROR' } as const
export type SpanLevel = (typeof SpanLevel)[keyof typeof SpanLevel]
