import type { ColumnSource, SqlFacts } from './sql-facts.js'
import type { ByteWriter } from './bytes/writer.js'

/** A column of a result as the protocol describes it, joined with what is known of where it comes from. */
export interface ResultColumn {
  readonly name: string
  /** The protocol's type number (PostgreSQL type OID). 0 when not known. */
  readonly type: number
  readonly format: 'text' | 'binary'
  /** The table column the server says this is. What `sources` say besides is not looked at. */
  readonly origin?: ColumnSource
  /**
   * Columns whose value it is, unchanged, besides `origin`: those behind a view's column, or of the tables that share
   * rows with its own. Without an `origin`, `sources` count as well.
   */
  readonly origins?: readonly ColumnSource[]
  /** Where its values may come from by lineage through the statement; `unknown`: from anywhere. */
  readonly sources: readonly ColumnSource[] | 'unknown'
}

/** Answers of {@link CellMask.apply} that are not a length. */
export const CELL_UNCHANGED = -1
export const CELL_NULL = -2

/** Masks one column's cells. Stateless between cells; one instance serves all rows of a result. */
export interface CellMask {
  /**
   * Reads the cell `source[start, end)` (never NULL) and either appends its replacement to `target` and
   * returns the number of bytes appended, or appends nothing and returns CELL_UNCHANGED or CELL_NULL.
   * The replacement is valid for the column's type and format.
   */
  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number
}

/** One entry per column; undefined means the column's bytes stay as they are. */
export type RowPlan = readonly (CellMask | undefined)[]

/** Masks free text: error and notice messages, parameter values, notification payloads. */
export interface TextMasker {
  /** Returns the same object when nothing was found. UTF-8 in, UTF-8 out. */
  maskText(text: Uint8Array): Uint8Array
  /** What it stands for, where that may change: while this is the same object the same text is masked alike. Missing: it does not change. */
  readonly current?: object | undefined
}

/** Masks a text that comes in pieces, such as a terminal's output. The result does not depend on where it was cut. */
export interface StreamMasker {
  /** Takes the next piece and returns what is decided by now. The chunk is copied where it is needed later. */
  push(chunk: Uint8Array): Uint8Array
  /**
   * Decides everything held back as if the text ended here, and returns it. What is pushed later starts a new text,
   * except that a private key or token whose end has not come stays masked. A terminal's masker remembers what it let
   * go, and masks the rest of a value that is found only then.
   */
  flush(): Uint8Array
  /** Bytes waiting for a decision. Never more than `maxHoldBackBytes`. */
  readonly heldBackBytes: number
}

/** The masks that apply to the results of one command. Made by the masking layer, applied by the protocol. */
export interface ResultMasker extends TextMasker {
  /** False: no plan depends on the sources of columns, so that their names need not be looked up. Missing: true. */
  readonly readsSources?: boolean
  /** Compiled once per result set. Undefined: no column is touched. */
  planRows(columns: readonly ResultColumn[]): RowPlan | undefined
  /** What of an error's or notice's text may quote a masked column while this command runs. Missing: `none`. */
  textExposure?(facts: SqlFacts): TextExposure
  /** A masker for one stream of a command's output. Undefined: nothing is looked for in streams. */
  stream?(options: { readonly maxHoldBackBytes: number }): StreamMasker | undefined
}

/**
 * Which texts of a server's message may quote values that no detector knows: `detail`: the row that was written, in the
 * message's detail. `all`: anything that the command made of them.
 */
export type TextExposure = 'none' | 'detail' | 'all'

/** What replaces a value. */
export type MaskStrategy =
  /** A fixed, type-valid placeholder. */
  | { readonly kind: 'redact' }
  /** Keeps some characters at the ends and the shape of separators. */
  | { readonly kind: 'partial'; readonly keepFirst?: number; readonly keepLast?: number }
  /** Keyed hash: equal values stay equal, nothing else is told. */
  | { readonly kind: 'hash' }
  | { readonly kind: 'null' }
  | { readonly kind: 'constant'; readonly value: string }

/** Masks every result column that comes, or may come, from this table column. Names are as the server folds them; `*` and a missing part match all. */
export interface ColumnMaskSpec {
  readonly schema?: string
  readonly table?: string
  readonly column: string
  readonly strategy: MaskStrategy
}

/** Masks every value of this class, wherever text can carry it. */
export interface DetectorMaskSpec {
  readonly detector: string
  readonly strategy: MaskStrategy
}

/** All masks a decision asks for. An empty set costs nothing. */
export interface MaskSet {
  readonly columns: readonly ColumnMaskSpec[]
  readonly detectors: readonly DetectorMaskSpec[]
}
