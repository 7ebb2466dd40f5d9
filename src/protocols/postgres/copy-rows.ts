import { ByteWriter, type RowPlan, SallyportError, type TextMasker } from '../../core/index.js'
import { BinaryCopyFormat } from './copy-binary.js'
import { CsvCopyFormat } from './copy-csv.js'
import type { CopyFormat } from './copy-format.js'
import { TextCopyFormat } from './copy-text.js'

export interface CopyMaskerOptions {
  readonly format: 'text' | 'csv' | 'binary'
  /** Whether the first line of `text` or `csv` holds column names. */
  readonly header: boolean
  /** One ASCII character. */
  readonly delimiter: string
  readonly nullText: string
  /** One ASCII character, `csv` only. */
  readonly quote: string
  readonly escape: string
  /** One entry per column. */
  readonly plan: RowPlan
  /** A longer row is refused: it has to be seen whole. */
  readonly maxRowBytes: number
  /** Masks the names in a header line, which dynamic SQL can fill with values. Default: they stay. */
  readonly headerMasker?: TextMasker
}

/** Masks the data of one COPY OUT. Where CopyData messages end means nothing: rows are found in the stream they make. */
export interface CopyMasker {
  /**
   * Takes the content of one CopyData message.
   *
   * @returns whole masked rows, possibly none; a view of `chunk` where nothing changed
   * @throws SallyportError `limit_exceeded`, `upstream_protocol_violation`; the masker is of no use afterwards
   */
  push(chunk: Buffer): Buffer
  /**
   * As push, for content that lies at `chunk[start, end)`: appends the whole masked rows to `out`. Allocates nothing.
   *
   * @throws SallyportError as push; `out` may have got some of the rows
   */
  pushTo(chunk: Buffer, start: number, end: number, out: ByteWriter): void
  /**
   * At CopyDone.
   *
   * @returns a last row that lacks its line end
   * @throws SallyportError as push; also when the data break off
   */
  end(): Buffer
}

const NOTHING = Buffer.alloc(0)

/** @throws SallyportError `invalid_option` for options that the server would not take either */
export function createCopyMasker(options: CopyMaskerOptions): CopyMasker {
  return new StreamingCopyMasker(makeFormat(options), options.maxRowBytes)
}

function makeFormat(options: CopyMaskerOptions): CopyFormat {
  if (options.format === 'binary') return new BinaryCopyFormat(options.plan)
  const rows = {
    header: options.header,
    plan: options.plan,
    headerMasker: options.headerMasker,
    delimiter: asciiByte('delimiter', options.delimiter),
    nullText: Buffer.from(options.nullText, 'utf8'),
  }
  if (options.format === 'text') return new TextCopyFormat(rows)
  return new CsvCopyFormat({
    ...rows,
    quote: asciiByte('quote', options.quote),
    escape: asciiByte('escape', options.escape),
  })
}

function asciiByte(option: string, text: string): number {
  const byte = text.charCodeAt(0)
  if (text.length !== 1 || byte === 0 || byte > 0x7f || byte === 0x0a || byte === 0x0d) {
    throw new SallyportError('invalid_option', `${option} of a copy must be one ASCII character`)
  }
  return byte
}

/**
 * INVARIANT: every byte is looked at a constant number of times: once for the end of its row, by a scanner that keeps
 * its state between chunks, and once when the row is masked. Only rows that lie across chunks are joined.
 */
class StreamingCopyMasker implements CopyMasker {
  readonly #format: CopyFormat
  readonly #maxRowBytes: number
  /** The beginning of a row whose end has not come. */
  readonly #pending = new ByteWriter(0x400)
  readonly #out = new ByteWriter(0x400)
  /** Of the chunk last looked at: everything before this offset is in the output. */
  #copied = 0
  /** And here its whole rows end. */
  #rowsEnd = 0

  constructor(format: CopyFormat, maxRowBytes: number) {
    this.#format = format
    this.#maxRowBytes = maxRowBytes
  }

  push(chunk: Buffer): Buffer {
    const out = this.#out
    this.#maskRows(chunk, 0, chunk.length, out)
    if (this.#copied === 0 && out.length === 0) return chunk.subarray(0, this.#rowsEnd)
    out.appendRun(chunk, this.#copied, this.#rowsEnd)
    return this.#give()
  }

  pushTo(chunk: Buffer, start: number, end: number, out: ByteWriter): void {
    this.#maskRows(chunk, start, end, out)
    out.appendRun(chunk, this.#copied, this.#rowsEnd)
  }

  end(): Buffer {
    if (!this.#format.finish(this.#pending.length)) return NOTHING
    this.#maskPending(this.#out)
    return this.#give()
  }

  #maskRows(chunk: Buffer, start: number, end: number, out: ByteWriter): void {
    let copied = start
    let position = start
    while (position < end) {
      const rowEnd = this.#format.findRowEnd(chunk, position, end)
      this.#checkLength(this.#pending.length + (rowEnd < 0 ? end : rowEnd) - position)
      if (rowEnd < 0) break
      if (this.#pending.length > 0) {
        this.#pending.append(chunk, position, rowEnd)
        this.#maskPending(out)
        copied = rowEnd
      } else {
        copied = this.#format.maskRow(chunk, position, rowEnd, copied, out)
      }
      position = rowEnd
    }
    if (position < end) this.#pending.append(chunk, position, end)
    this.#copied = copied
    this.#rowsEnd = position
  }

  #maskPending(out: ByteWriter): void {
    const { bytes, length } = this.#pending
    const copied = this.#format.maskRow(bytes, 0, length, 0, out)
    out.append(bytes, copied, length)
    this.#pending.clear()
  }

  /** A few bytes are copied, so that the buffer can be used again; many are given away with it. */
  #give(): Buffer {
    const out = this.#out
    if (out.length * 2 > out.bytes.length && out.length > 4096) return out.take()
    const copy = Buffer.from(out.view())
    out.clear()
    return copy
  }

  #checkLength(rowBytes: number): void {
    if (rowBytes <= this.#maxRowBytes) return
    throw new SallyportError('limit_exceeded', `a row of a copy is longer than ${this.#maxRowBytes} bytes`)
  }
}
