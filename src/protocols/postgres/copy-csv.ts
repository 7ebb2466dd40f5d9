import { type ByteWriter, CELL_NULL, CELL_UNCHANGED } from '../../core/index.js'
import { applyMask, type CopyFormat, copyViolation, LineCells, type LineOptions, sameBytes } from './copy-format.js'

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d
const END_OF_DATA = Buffer.from('\\.')

export interface CsvOptions extends LineOptions {
  readonly quote: number
  readonly escape: number
}

const OUTSIDE = 0
const INSIDE = 1
/** Behind an escape character that is not the quote. */
const ESCAPED = 2

/**
 * The CSV format: lines of cells between delimiters, cells in quotes where needed, and in them line ends as they are.
 *
 * Read as strictly as the server writes it: a quote stands at both ends of a cell or, escaped, inside of quotes.
 *
 * @see https://www.postgresql.org/docs/18/sql-copy.html, "CSV Format"
 */
export class CsvCopyFormat implements CopyFormat {
  readonly #cells: LineCells
  readonly #delimiter: number
  readonly #quote: number
  readonly #escape: number
  readonly #nullText: Buffer
  #state: typeof OUTSIDE | typeof INSIDE | typeof ESCAPED = OUTSIDE

  constructor(options: CsvOptions) {
    this.#cells = new LineCells(options)
    this.#delimiter = options.delimiter
    this.#quote = options.quote
    this.#escape = options.escape
    this.#nullText = options.nullText
  }

  findRowEnd(chunk: Buffer, from: number, to: number): number {
    const quote = this.#quote
    // Where quote and escape are one, a doubled quote leaves the quotes and enters them again at once.
    const escape = this.#escape === quote ? -1 : this.#escape
    let state = this.#state
    for (let i = from; i < to; i++) {
      const byte = chunk[i]
      if (state === ESCAPED) state = INSIDE
      else if (byte === quote) state = state === INSIDE ? OUTSIDE : INSIDE
      else if (state === INSIDE) state = byte === escape ? ESCAPED : INSIDE
      else if (byte === NEWLINE) {
        this.#state = OUTSIDE
        return i + 1
      }
    }
    this.#state = state
    return -1
  }

  finish(pendingBytes: number): boolean {
    if (this.#state !== OUTSIDE) throw copyViolation('the end comes inside of quotes')
    return pendingBytes > 0
  }

  maskRow(buffer: Buffer, start: number, end: number, copied: number, out: ByteWriter): number {
    const lineEnd = buffer[end - 1] === NEWLINE ? end - 1 : end
    if (start === lineEnd && this.#cells.hasNoColumns) return copied
    let reached = copied
    let column = 0
    for (let cellStart = start; ; column++) {
      const cellEnd = this.#findCellEnd(buffer, cellStart, lineEnd)
      reached = this.#maskCell(buffer, cellStart, cellEnd, column, reached, out)
      if (cellEnd === lineEnd) break
      cellStart = cellEnd + 1
    }
    this.#cells.endRow(column + 1)
    return reached
  }

  #findCellEnd(buffer: Buffer, start: number, lineEnd: number): number {
    let i = start
    if (buffer[start] === this.#quote && start < lineEnd) i = this.#findClosingQuote(buffer, start + 1, lineEnd) + 1
    const isQuoted = i > start
    const delimiter = this.#delimiter
    const quote = this.#quote
    for (; i < lineEnd; i++) {
      const byte = buffer[i]
      if (byte === delimiter) return i
      if (isQuoted || byte === quote) throw copyViolation('a quote stands in the middle of a cell')
    }
    return lineEnd
  }

  #findClosingQuote(buffer: Buffer, start: number, lineEnd: number): number {
    for (let i = start; i < lineEnd; i++) {
      const byte = buffer[i] as number
      if (i + 1 < lineEnd && this.#isEscape(byte, buffer[i + 1] as number)) i++
      else if (byte === this.#quote) return i
    }
    throw copyViolation('a quoted cell has no end')
  }

  /** The escape character escapes itself and the quote, and is a character like any other before anything else. */
  #isEscape(byte: number, next: number): boolean {
    return byte === this.#escape && (next === this.#quote || next === this.#escape)
  }

  #maskCell(buffer: Buffer, start: number, end: number, column: number, copied: number, out: ByteWriter): number {
    const cells = this.#cells
    const mask = cells.maskOf(column)
    if (mask === undefined) return copied
    const isQuoted = start < end && buffer[start] === this.#quote
    // Only without quotes is it NULL: a value that reads the same is put in quotes.
    if (!isQuoted && !cells.isHeader && cells.isNullText(buffer, start, end)) return copied

    let result: number
    if (isQuoted) {
      cells.plain.clear()
      this.#unescape(buffer, start + 1, end - 1, cells.plain)
      result = applyMask(mask, cells.plain.bytes, 0, cells.plain.length, cells.masked)
    } else {
      result = applyMask(mask, buffer, start, end, cells.masked)
    }
    if (result === CELL_UNCHANGED) return copied
    out.appendRun(buffer, copied, start)
    if (result === CELL_NULL) out.append(this.#nullText)
    else if (isQuoted || this.#needsQuotes(cells.masked)) this.#writeQuoted(cells.masked, out)
    else out.append(cells.masked.bytes, 0, cells.masked.length)
    return end
  }

  #unescape(buffer: Buffer, start: number, end: number, plain: ByteWriter): void {
    for (let i = start; i < end; i++) {
      const byte = buffer[i] as number
      if (i + 1 < end && this.#isEscape(byte, buffer[i + 1] as number)) plain.u8(buffer[++i] as number)
      else plain.u8(byte)
    }
  }

  #needsQuotes(masked: ByteWriter): boolean {
    const { bytes, length } = masked
    if (sameBytes(this.#nullText, bytes, 0, length) || sameBytes(END_OF_DATA, bytes, 0, length)) return true
    for (let i = 0; i < length; i++) {
      const byte = bytes[i] as number
      if (byte === this.#delimiter || byte === this.#quote || byte === NEWLINE || byte === CARRIAGE_RETURN) return true
    }
    return false
  }

  #writeQuoted(masked: ByteWriter, out: ByteWriter): void {
    const { bytes, length } = masked
    out.u8(this.#quote)
    for (let i = 0; i < length; i++) {
      const byte = bytes[i] as number
      if (byte === this.#quote || byte === this.#escape) out.u8(this.#escape)
      out.u8(byte)
    }
    out.u8(this.#quote)
  }
}
