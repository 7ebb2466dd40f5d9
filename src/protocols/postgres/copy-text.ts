import { type ByteWriter, CELL_NULL, CELL_UNCHANGED } from '../../core/index.js'
import { applyMask, type CopyFormat, copyViolation, LineCells, type LineOptions } from './copy-format.js'

const NEWLINE = 0x0a
const BACKSLASH = 0x5c

/** Letters that stand for control characters behind a backslash, and back. */
const CONTROL_LETTERS: readonly (readonly [control: number, letter: number])[] = [
  [0x08, 0x62], // b
  [0x09, 0x74], // t
  [0x0a, 0x6e], // n
  [0x0b, 0x76], // v
  [0x0c, 0x66], // f
  [0x0d, 0x72], // r
]

/**
 * The text format: lines of cells between delimiters, special characters behind a backslash.
 *
 * @see https://www.postgresql.org/docs/18/sql-copy.html, "Text Format"
 */
export class TextCopyFormat implements CopyFormat {
  readonly #cells: LineCells
  readonly #delimiter: number
  readonly #nullText: Buffer
  /** The server writes a marker without a backslash also for a value that reads the same: then it may be a value. */
  readonly #isNullCertain: boolean
  /** By byte: what stands behind the backslash that escapes it, or 0. */
  readonly #escapes = new Uint8Array(256)

  constructor(options: LineOptions) {
    this.#cells = new LineCells(options)
    this.#delimiter = options.delimiter
    this.#nullText = options.nullText
    this.#isNullCertain = options.nullText.length === 0 || options.nullText.includes(BACKSLASH)
    this.#escapes[options.delimiter] = options.delimiter
    this.#escapes[BACKSLASH] = BACKSLASH
    for (const [control, letter] of CONTROL_LETTERS) this.#escapes[control] = letter
  }

  findRowEnd(chunk: Buffer, from: number, to: number): number {
    // A line end inside a cell is always written as an escape, so this is the row's.
    const newline = chunk.subarray(from, to).indexOf(NEWLINE)
    return newline < 0 ? -1 : from + newline + 1
  }

  finish(pendingBytes: number): boolean {
    return pendingBytes > 0
  }

  maskRow(buffer: Buffer, start: number, end: number, copied: number, out: ByteWriter): number {
    const lineEnd = buffer[end - 1] === NEWLINE ? end - 1 : end
    if (start === lineEnd && this.#cells.hasNoColumns) return copied
    const delimiter = this.#delimiter
    let column = 0
    let cellStart = start
    let hasEscape = false
    let reached = copied
    for (let i = start; ; i++) {
      const byte = i < lineEnd ? (buffer[i] as number) : delimiter
      if (byte === BACKSLASH) {
        // Fails closed: the server never writes it, and clients do not agree on where the row ends then.
        if (++i >= lineEnd) throw copyViolation('a backslash stands before the end of a line')
        hasEscape = true
      } else if (byte === delimiter) {
        reached = this.#maskCell(buffer, cellStart, i, column++, hasEscape, reached, out)
        if (i >= lineEnd) break
        cellStart = i + 1
        hasEscape = false
      }
    }
    this.#cells.endRow(column)
    return reached
  }

  #maskCell(
    buffer: Buffer,
    start: number,
    end: number,
    column: number,
    hasEscape: boolean,
    copied: number,
    out: ByteWriter,
  ): number {
    const cells = this.#cells
    const mask = cells.maskOf(column)
    if (mask === undefined || (this.#isNullCertain && !cells.isHeader && cells.isNullText(buffer, start, end))) {
      return copied
    }
    let result: number
    if (hasEscape) {
      cells.plain.clear()
      unescape(buffer, start, end, cells.plain)
      result = applyMask(mask, cells.plain.bytes, 0, cells.plain.length, cells.masked)
    } else {
      result = applyMask(mask, buffer, start, end, cells.masked)
    }
    if (result === CELL_UNCHANGED) return copied
    out.appendRun(buffer, copied, start)
    if (result === CELL_NULL) out.append(this.#nullText)
    else this.#escape(cells.masked, out)
    return end
  }

  #escape(masked: ByteWriter, out: ByteWriter): void {
    const { bytes, length } = masked
    let copied = 0
    for (let i = 0; i < length; i++) {
      const escaped = this.#escapes[bytes[i] as number] as number
      if (escaped === 0) continue
      out.append(bytes, copied, i).u8(BACKSLASH).u8(escaped)
      copied = i + 1
    }
    out.append(bytes, copied, length)
  }
}

/** Every escape that COPY FROM reads, also those that COPY TO does not write. */
function unescape(buffer: Buffer, start: number, end: number, plain: ByteWriter): void {
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number
    if (byte !== BACKSLASH) {
      plain.u8(byte)
      continue
    }
    const letter = buffer[++i] as number
    if (isOctal(letter)) {
      let value = letter - 0x30
      for (let digits = 1; digits < 3 && i + 1 < end && isOctal(buffer[i + 1] as number); digits++) {
        value = value * 8 + (buffer[++i] as number) - 0x30
      }
      plain.u8(value & 0xff)
    } else if (letter === 0x78 && i + 1 < end && hexValue(buffer[i + 1] as number) >= 0) {
      let value = hexValue(buffer[++i] as number)
      if (i + 1 < end && hexValue(buffer[i + 1] as number) >= 0) value = value * 16 + hexValue(buffer[++i] as number)
      plain.u8(value)
    } else {
      plain.u8(CONTROL_LETTERS.find((pair) => pair[1] === letter)?.[0] ?? letter)
    }
  }
}

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37
}

/** -1 for what is no hexadecimal digit. */
function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
