/** Bytes of a preview unless set otherwise: some 250 Latin letters or 85 Chinese signs, enough to recognise a value in a table. */
export const PREVIEW_BYTES = 256

/** The beginning of a UTF-8 text, at most `maxBytes` long, never cut inside a character. */
export function previewOf(value: Buffer, maxBytes: number = PREVIEW_BYTES): string {
  let end = Math.min(value.length, maxBytes)
  // Bytes 10xxxxxx continue a character: step back to where one begins.
  while (end > 0 && end < value.length && ((value[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return value.toString('utf8', 0, end)
}
