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

  constructor(format: CopyFormat, maxRowBytes: number) {
    this.#format = format
    this.#maxRowBytes = maxRowBytes
  }

  push(chunk: Buffer): Buffer {
    /** Everything of the chunk before this offset is in `out`. */
    let copied = 0
    let position = 0
    while (position < chunk.length) {
      const end = this.#format.findRowEnd(chunk, position)
      this.#checkLength(this.#pending.length + (end < 0 ? chunk.length : end) - position)
      if (end < 0) break
      if (this.#pending.length > 0) {
        this.#pending.append(chunk, position, end)
        this.#maskPending()
        copied = end
      } else {
        copied = this.#format.maskRow(chunk, position, end, copied, this.#out)
      }
      position = end
    }
    if (position < chunk.length) this.#pending.append(chunk, position, chunk.length)
    if (copied === 0 && this.#out.length === 0) return chunk.subarray(0, position)
    this.#out.appendRun(chunk, copied, position)
    return this.#out.take()
  }

  end(): Buffer {
    if (!this.#format.finish(this.#pending.length)) return NOTHING
    this.#maskPending()
    return this.#out.take()
  }

  #maskPending(): void {
    const { bytes, length } = this.#pending
    const copied = this.#format.maskRow(bytes, 0, length, 0, this.#out)
    this.#out.append(bytes, copied, length)
    this.#pending.clear()
  }

  #checkLength(rowBytes: number): void {
    if (rowBytes <= this.#maxRowBytes) return
    throw new SallyportError('limit_exceeded', `a row of a copy is longer than ${this.#maxRowBytes} bytes`)
  }
}
