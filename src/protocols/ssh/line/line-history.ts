/** Lines sent before, for the arrow keys. Bounded in lines and bytes. */
export class LineHistory {
  readonly #maxLines: number
  readonly #maxBytes: number
  readonly #lines: string[] = []
  #bytes = 0
  /** How many lines back; 0: the line under edit. */
  #back = 0
  #draft = ''

  constructor(maxLines: number, maxBytes: number) {
    this.#maxLines = maxLines
    this.#maxBytes = maxBytes
  }

  /** Lines that begin with a blank are not kept, nor is the same line twice in a row. */
  add(line: string): void {
    this.#back = 0
    if (line.trim() === '' || line.startsWith(' ') || line === this.#lines.at(-1)) return
    this.#lines.push(line)
    this.#bytes += line.length
    while (this.#lines.length > this.#maxLines || this.#bytes > this.#maxBytes)
      this.#bytes -= (this.#lines.shift() ?? '').length
  }

  /** The line before the one shown, or undefined. `shown` is kept for the way back. */
  previous(shown: string): string | undefined {
    if (this.#back >= this.#lines.length) return undefined
    if (this.#back === 0) this.#draft = shown
    return this.#lines[this.#lines.length - ++this.#back]
  }

  next(): string | undefined {
    if (this.#back === 0) return undefined
    return --this.#back === 0 ? this.#draft : this.#lines[this.#lines.length - this.#back]
  }

  /** Back to the line under edit. */
  leave(): void {
    this.#back = 0
    this.#draft = ''
  }
}
