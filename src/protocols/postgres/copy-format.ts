import {
  ByteWriter,
  CELL_NULL,
  CELL_UNCHANGED,
  type CellMask,
  type RowPlan,
  SallyportError,
  type TextMasker,
} from '../../core/index.js'

/** How one format of COPY OUT data falls into rows and cells. Used for one copy, front to back. */
export interface CopyFormat {
  /**
   * Looks for the end of the row that `chunk[from]` continues or begins, remembering where it stands.
   *
   * @returns the offset behind the row, or -1 when it does not end before `to`
   */
  findRowEnd(chunk: Buffer, from: number, to: number): number
  /**
   * Masks the row just found, now in one piece.
   *
   * @param copied everything of `buffer` before this offset is in `out` already
   * @returns the same, afterwards: `copied` itself, with `out` as it was, when nothing changed
   */
  maskRow(buffer: Buffer, start: number, end: number, copied: number, out: ByteWriter): number
  /**
   * The data end here.
   *
   * @param pendingBytes of a row whose end was not found
   * @returns whether these are a row to mask
   * @throws SallyportError `upstream_protocol_violation` when the data break off
   */
  finish(pendingBytes: number): boolean
}

export interface LineOptions {
  readonly header: boolean
  readonly headerMasker: TextMasker | undefined
  readonly delimiter: number
  readonly nullText: Buffer
  readonly plan: RowPlan
}

/** What the two formats of lines share: the header line, and taking a cell through its mask. */
export class LineCells {
  /** The cell as it is without quotes and escapes. */
  readonly plain = new ByteWriter()
  /** What the mask put in its place. */
  readonly masked = new ByteWriter()
  readonly #options: LineOptions
  readonly #headerMask: CellMask | undefined
  #isHeader: boolean

  constructor(options: LineOptions) {
    this.#options = options
    this.#isHeader = options.header
    this.#headerMask = options.headerMasker && textMask(options.headerMasker)
  }

  get isHeader(): boolean {
    return this.#isHeader
  }

  /** Rows of a table without columns are empty lines. */
  get hasNoColumns(): boolean {
    return this.#options.plan.length === 0
  }

  /** INVARIANT: a row of another width than the plan's is not masked by the wrong columns, but refused. */
  maskOf(column: number): CellMask | undefined {
    if (column >= this.#options.plan.length) throw this.#mismatch()
    return this.#isHeader ? this.#headerMask : this.#options.plan[column]
  }

  endRow(columns: number): void {
    if (columns !== this.#options.plan.length) throw this.#mismatch()
    this.#isHeader = false
  }

  /** Whether the cell as it stands is the NULL marker. */
  isNullText(buffer: Buffer, start: number, end: number): boolean {
    return sameBytes(this.#options.nullText, buffer, start, end)
  }

  #mismatch(): SallyportError {
    return copyViolation(`a row does not have the ${this.#options.plan.length} columns expected`)
  }
}

/** Applies a mask to a plain cell and checks its word. */
export function applyMask(mask: CellMask, source: Uint8Array, start: number, end: number, target: ByteWriter): number {
  target.clear()
  const result = mask.apply(source, start, end, target)
  if (result !== CELL_UNCHANGED && result !== CELL_NULL && result !== target.length) {
    throw new SallyportError('internal', 'a mask miscounts its bytes')
  }
  return result
}

/** Reads a name through a text masker as if it were a cell. */
function textMask(masker: TextMasker): CellMask {
  return {
    apply(source, start, end, target) {
      const text = source.subarray(start, end)
      const masked = masker.maskText(text)
      if (masked === text) return CELL_UNCHANGED
      target.append(masked)
      return masked.length
    },
  }
}

export function sameBytes(expected: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
  if (end - start !== expected.length) return false
  for (let i = 0; i < expected.length; i++) if (buffer[start + i] !== expected[i]) return false
  return true
}

export function copyViolation(what: string): SallyportError {
  return new SallyportError('upstream_protocol_violation', `in the data of a copy, ${what}`)
}
