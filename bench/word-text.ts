import type { SeededRandom } from '../src/audit/seeded-random.ts'

const WORDS = 3_000

/** Texts of words from a vocabulary of its own: zstd packs them to about a third, as it does with what models write. */
export class WordText {
  readonly #words: readonly string[]

  constructor(random: SeededRandom) {
    this.#words = Array.from({ length: WORDS }, () =>
      Array.from({ length: random.integer(2, 10) }, () =>
        String.fromCharCode(0x61 + random.integer(0, 25)),
      ).join(''),
    )
  }

  /** ASCII, exactly that many characters. */
  make(random: SeededRandom, characters: number): string {
    let text = ''
    while (text.length < characters) text += `${random.pick(this.#words)} `
    return text.slice(0, characters)
  }
}
