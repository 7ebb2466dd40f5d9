import type { LineBuffer, LineCharacter } from './line-buffer.js'

interface Position {
  readonly row: number
  readonly column: number
}

/**
 * Draws a line under edit behind a prompt on a terminal. Knows where the cursor stands by having put it there. Rows
 * count from the one that the line starts in.
 */
export class LineView {
  columns: number
  /** Where the line starts: the column behind the prompt. */
  startColumn = 0
  #row = 0

  constructor(columns: number) {
    this.columns = columns
  }

  /** The cursor stands behind a prompt of this width; nothing of the line is drawn. */
  begin(startColumn: number): void {
    this.startColumn = startColumn % this.columns
    this.#row = 0
  }

  /** Draws a character that was added at the end. */
  append(line: LineBuffer, added: string): string {
    const end = this.#position(line.characters, line.characters.length)
    // A full row needs the cursor moved to the next one; that is the long way's business.
    if (end.row !== this.#row || end.column === 0) return this.draw(line)
    return added
  }

  /** Draws all of it again. */
  draw(line: LineBuffer): string {
    const end = this.#position(line.characters, line.characters.length)
    const text = line.characters.map((character) => character.text).join('')
    // A terminal that has filled a row waits for the next character before it moves on.
    const wrap = end.column === 0 && end.row > 0 ? '\r\n' : ''
    const drawn = `${this.erase()}${text}${wrap}`
    this.#row = end.row
    return drawn + this.place(line)
  }

  /** Moves the cursor to where the line's cursor is. */
  place(line: LineBuffer): string {
    return this.#moveTo(this.#position(line.characters, line.cursor))
  }

  /** Moves the cursor behind the line. */
  leave(line: LineBuffer): string {
    return this.#moveTo(this.#position(line.characters, line.characters.length))
  }

  /** Takes the line off the screen: the cursor is behind the prompt. */
  erase(): string {
    return `${this.#moveTo({ row: 0, column: this.startColumn })}\x1b[J`
  }

  #moveTo(to: Position): string {
    const rows = to.row - this.#row
    this.#row = to.row
    const vertical = rows < 0 ? `\x1b[${-rows}A` : rows > 0 ? `\x1b[${rows}B` : ''
    return `${vertical}\r${to.column > 0 ? `\x1b[${to.column}C` : ''}`
  }

  #position(characters: readonly LineCharacter[], count: number): Position {
    let row = 0
    let column = this.startColumn
    for (let i = 0; i < count; i++) {
      const width = (characters[i] as LineCharacter).width
      if (column + width > this.columns) {
        row++
        column = 0
      }
      column += width
      if (column === this.columns) {
        row++
        column = 0
      }
    }
    return { row, column }
  }
}
