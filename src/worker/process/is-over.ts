/** True when the text has more bytes of UTF-8 than that. A UTF-16 unit takes one to three of them. */
export function isOver(text: string, limitBytes: number): boolean {
  if (text.length > limitBytes) return true
  return text.length * 3 > limitBytes && Buffer.byteLength(text) > limitBytes
}
