/** The bytes that may stand at one place: 1 for each that may. */
export type ByteClass = Uint8Array

/** Bytes in a row, a class for each place. */
export type ByteRun = readonly ByteClass[]

/** Places of a run that are looked at: a bit each in an int32. */
export const MAX_RUN_LENGTH = 31

export function byteClass(...bytes: readonly number[]): ByteClass {
  const result = new Uint8Array(256)
  for (const byte of bytes) result[byte] = 1
  return result
}

export function unionOf(a: ByteClass, b: ByteClass): ByteClass {
  return a.map((has, byte) => has | b[byte]!)
}

/** How often each byte comes in text of English, Chinese, JSON and URLs together: a rough guess, which only speed depends on. */
export const BYTE_FREQUENCIES: Readonly<Float64Array> = frequencies()

function frequencies(): Float64Array {
  const result = new Float64Array(256)
  const set = (characters: string, share: number): void => {
    for (const character of characters) result[character.charCodeAt(0)] = share / characters.length
  }
  result.fill(0.3 / 128, 0x80)
  set('abcdefghijklmnopqrstuvwxyz', 0.45)
  set('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 0.05)
  set('0123456789', 0.06)
  set('.,-_/:;"\'=&(){}[]\n', 0.06)
  set('!#$%+*?<>|\\~^`@', 0.005)
  set(' ', 0.075)
  return result
}

/** Part of the bytes of a text that are in the class. */
export function frequencyOf(byteSet: ByteClass): number {
  return byteSet.reduce((sum, has, byte) => sum + (has === 1 ? BYTE_FREQUENCIES[byte]! : 0), 0)
}

/** How much a run tells: the higher, the fewer texts have it by chance. */
export function bitsOf(run: ByteRun): number {
  return run.reduce((sum, each) => sum - Math.log2(Math.max(frequencyOf(each), 1 / 4096)), 0)
}
