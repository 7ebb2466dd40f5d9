import { characterWidth } from '../../../core/index.js'

/** A character with the marks that belong to it. */
export interface LineCharacter {
  text: string
  width: number
}

/** A line under edit, as emacs-style keys change it. Knows nothing of terminals. */
export class LineBuffer {
  readonly characters: LineCharacter[] = []
  /** Index of the character the cursor stands on; their count at the end. */
  cursor = 0
  byteLength = 0
  #killed = ''

  get isEmpty(): boolean {
    return this.characters.length === 0
  }

  get isAtEnd(): boolean {
    return this.cursor === this.characters.length
  }

  get text(): string {
    return this.characters.map((character) => character.text).join('')
  }

  set(text: string): void {
    this.clear()
    this.insert(text)
  }

  clear(): void {
    this.characters.length = 0
    this.cursor = 0
    this.byteLength = 0
  }

  insert(text: string): void {
    this.byteLength += Buffer.byteLength(text)
    for (const one of text) {
      const width = characterWidth(one.codePointAt(0) as number)
      const before = this.characters[this.cursor - 1]
      if (width === 0 && before !== undefined) before.text += one
      else this.characters.splice(this.cursor++, 0, { text: one, width })
    }
  }

  /** Removes `[from, to)` and returns it. */
  #cut(from: number, to: number): string {
    const text = this.characters
      .splice(from, to - from)
      .map((character) => character.text)
      .join('')
    this.byteLength -= Buffer.byteLength(text)
    this.cursor = from
    return text
  }

  #kill(from: number, to: number): void {
    if (to > from) this.#killed = this.#cut(from, to)
  }

  move(to: number): void {
    this.cursor = Math.max(0, Math.min(this.characters.length, to))
  }

  deleteLeft(): void {
    if (this.cursor > 0) this.#cut(this.cursor - 1, this.cursor)
  }

  deleteRight(): void {
    if (!this.isAtEnd) this.#cut(this.cursor, this.cursor + 1)
  }

  killToEnd(): void {
    this.#kill(this.cursor, this.characters.length)
  }

  killToStart(): void {
    this.#kill(0, this.cursor)
  }

  killWordRight(): void {
    this.#kill(this.cursor, this.wordRight())
  }

  killWordLeft(): void {
    this.#kill(this.wordLeft(), this.cursor)
  }

  killBlankWordLeft(): void {
    this.#kill(this.wordLeft(/\S/u), this.cursor)
  }

  /** What was killed last. */
  get killed(): string {
    return this.#killed
  }

  forgetKilled(): void {
    this.#killed = ''
  }

  /** Swaps the two characters around the cursor. */
  transpose(): void {
    if (this.cursor === 0 || this.characters.length < 2) return
    const at = this.isAtEnd ? this.cursor - 1 : this.cursor
    const [moved] = this.characters.splice(at, 1)
    this.characters.splice(at - 1, 0, moved as LineCharacter)
    this.cursor = at + 1
  }

  wordRight(): number {
    let at = this.cursor
    while (at < this.characters.length && !this.#is(at, WORD)) at++
    while (at < this.characters.length && this.#is(at, WORD)) at++
    return at
  }

  wordLeft(of: RegExp = WORD): number {
    let at = this.cursor
    while (at > 0 && !this.#is(at - 1, of)) at--
    while (at > 0 && this.#is(at - 1, of)) at--
    return at
  }

  #is(at: number, what: RegExp): boolean {
    return what.test(this.characters[at]?.text ?? '')
  }
}

const WORD = /[\p{L}\p{N}]/u
