/** Stands in a shape for text that is not known: any characters, also none. No text to be judged contains a NUL. */
export const ANY = '\u0000'
/** Stands in a shape for one character that is not known. */
export const ONE = '\u0001'

/** What one word of a command is when the command runs, as far as the text tells. */
export interface WordValue {
  /** The exact value; where it is not known, the word as written with its quotes taken off. */
  readonly text: string
  /** The value with `ANY` and `ONE` in place of what is not known. */
  readonly shape: string
  readonly isKnown: boolean
  /** May become no word, or several: an expansion outside of quotes, or a pattern. */
  readonly mayVary: boolean
  /** Begins with a tilde that the shell replaces by a home directory. */
  readonly hasTilde: boolean
  /** Made from the output of a command that fetches something from the network. */
  readonly fetches: boolean
  /** Made from the output of a command. */
  readonly isOutput: boolean
}

export function knownWord(text: string): WordValue {
  return { text, shape: text, isKnown: true, mayVary: false, hasTilde: false, fetches: false, isOutput: false }
}

/** A word that could be anything, also several words. */
export function unknownWord(text: string, mayVary = true): WordValue {
  return { text, shape: ANY, isKnown: false, mayVary, hasTilde: false, fetches: false, isOutput: false }
}

/** The rest of a word whose first `from` characters are known. */
export function wordFrom(word: WordValue, from: number): WordValue {
  const shape = word.shape.slice(from)
  return { ...word, text: word.text.slice(from), shape, isKnown: isKnownShape(shape), hasTilde: shape.startsWith('~') }
}

export function isKnownShape(shape: string): boolean {
  return !shape.includes(ANY) && !shape.includes(ONE)
}

/** How many characters at the beginning are known. */
export function knownPrefix(word: WordValue): string {
  if (word.isKnown) return word.text
  // biome-ignore lint: these two characters are the markers
  const end = word.shape.search(/[\u0000\u0001]/)
  return word.shape.slice(0, end)
}

/** Whether a text has the shape. Takes time of the product of both lengths at most. */
export function matchesShape(shape: string, text: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  let place = 0
  while (at < text.length) {
    const wanted = shape[place]
    if (wanted === ANY) {
      star = place++
      resume = at
    } else if (wanted !== undefined && (wanted === text[at] || (wanted === ONE && text[at] !== '/'))) {
      place++
      at++
    } else if (star >= 0) {
      place = star + 1
      at = ++resume
    } else {
      return false
    }
  }
  while (shape[place] === ANY) place++
  return place === shape.length
}
