import { characterWidth, TERMINAL_PART, TerminalParser } from '../../../core/index.js'

/** As much of a terminal's screen as the tests of the line editor look at. */
export class Screen {
  readonly columns: number
  readonly #rows: string[][] = [[]]
  #row = 0
  #column = 0
  readonly #parser = new TerminalParser()
  #bytes = Buffer.alloc(0)

  constructor(columns = 80) {
    this.columns = columns
  }

  write(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    // Whole characters only: the tests cut sequences, which the parser remembers, but not characters.
    const parser = this.#parser
    for (let at = 0; at < this.#bytes.length; at = parser.partEnd) {
      const part = parser.next(this.#bytes, at, this.#bytes.length, true)
      if (part === TERMINAL_PART.text)
        for (const one of this.#bytes.subarray(at, parser.partEnd).toString()) this.#put(one)
      else if (part === TERMINAL_PART.control) this.#control(this.#bytes[at] as number)
      else if (parser.isComplete && parser.sequenceType === 'csi' && parser.prefix === 0) this.#csi()
    }
    this.#bytes = Buffer.alloc(0)
  }

  /** Lines without trailing blanks; the cursor is shown as `▏` where asked for. */
  lines(): string[] {
    return this.#rows.map((row) =>
      Array.from(row, (cell) => cell ?? ' ')
        .join('')
        .trimEnd(),
    )
  }

  get text(): string {
    return this.lines().join('\n').trimEnd()
  }

  get cursor(): { row: number; column: number } {
    return { row: this.#row, column: this.#column % this.columns }
  }

  #line(): string[] {
    while (this.#rows.length <= this.#row) this.#rows.push([])
    return this.#rows[this.#row] as string[]
  }

  #put(one: string): void {
    const width = characterWidth(one.codePointAt(0) as number)
    if (width === 0) return
    if (this.#column + width > this.columns) {
      this.#row++
      this.#column = 0
    }
    const line = this.#line()
    while (line.length < this.#column) line.push(' ')
    line[this.#column] = one
    if (width === 2) line[this.#column + 1] = ''
    this.#column += width
  }

  #control(byte: number): void {
    if (byte === 0x0d) this.#column = 0
    else if (byte === 0x0a) this.#row++
    else if (byte === 0x08) this.#column = Math.max(0, this.#column - 1)
    this.#line()
  }

  #csi(): void {
    const count = this.#parser.parameter(0, 1)
    const final = String.fromCharCode(this.#parser.final)
    if (this.#column === this.columns) this.#column--
    if (final === 'A') this.#row = Math.max(0, this.#row - count)
    else if (final === 'B') this.#row += count
    else if (final === 'C') this.#column = Math.min(this.columns - 1, this.#column + count)
    else if (final === 'D') this.#column = Math.max(0, this.#column - count)
    else if (final === 'H') {
      this.#row = count - 1
      this.#column = this.#parser.parameter(1, 1) - 1
    } else if (final === 'J') {
      if (this.#parser.parameter(0, 0) === 2) for (const row of this.#rows) row.length = 0
      else {
        this.#line().length = Math.min(this.#line().length, this.#column)
        this.#rows.length = this.#row + 1
      }
    } else if (final === 'K') this.#line().length = Math.min(this.#line().length, this.#column)
    this.#line()
  }
}
