/**
 * What a SQL command does, as far as its text and the session state tell. Produced by `analysis/sql`,
 * read by policy, masking and recording. All names are folded as the server folds them.
 */

/** `exact`: the server would agree. `conservative`: may name more than the command does, never less. `unparsed`: nothing below may be relied on. */
export type Certainty = 'exact' | 'conservative' | 'unparsed'

/** From harmless to harmful; a command's class is that of its most harmful part. */
export type SqlClass = 'read' | 'transaction' | 'session' | 'write' | 'procedural' | 'ddl' | 'dcl' | 'admin' | 'unknown'

export type TableAccessMode = 'read' | 'insert' | 'update' | 'delete' | 'truncate' | 'lock' | 'ddl'

export interface TableAccess {
  /** Undefined where the text does not say: the server resolves it by search_path. */
  readonly schema?: string
  readonly table: string
  readonly modes: readonly TableAccessMode[]
}

/** A column that a value can come from. `undefined` parts are unknown and match any name; column `*` is every column of the table (whole-row values). */
export interface ColumnSource {
  readonly schema?: string
  readonly table?: string
  readonly column: string
}

export interface ColumnAccess extends ColumnSource {
  readonly mode: 'read' | 'write' | 'predicate'
}

export interface FunctionCall {
  readonly schema?: string
  readonly name: string
  /** From the server's catalogue, kept as data; `unknown` for every function that is not built in. */
  readonly volatility: 'immutable' | 'stable' | 'volatile' | 'unknown'
  /** Known to run SQL given as text, read files, change settings and the like. */
  readonly hazards: readonly FunctionHazard[]
}

export type FunctionHazard =
  | 'dynamic-sql'
  | 'file'
  | 'program'
  | 'network'
  | 'setting'
  | 'admin'
  | 'notify'
  | 'large-object'
  | 'sleep'
  | 'lock'
  | 'sequence'

/** One column of a result, in order. */
export interface OutputColumn {
  readonly name?: string
  /** Where its values come from; `unknown` when that cannot be told, and then it counts as coming from everywhere. */
  readonly sources: readonly ColumnSource[] | 'unknown'
  /** True when the value is the source column itself (renamed at most), so that its type is kept. */
  readonly isPlain: boolean
  /**
   * Stands for any number of result columns (`*`, `t.*`, `(f(x)).*`), which only the catalogue could tell. Its sources
   * have column `*`; where it `isPlain`, a result column keeps the name of the table column it is.
   * What follows it in the list is not positional: use `outputSources`.
   */
  readonly isStar?: boolean
}

/** Session-level meaning that a statement sets, as text names it. Names are those the server would use. */
export type SessionEffect =
  | {
      readonly kind: 'set'
      readonly name: string /** Undefined: reset to default or not known from the text. */
      readonly value?: string
      readonly scope: 'session' | 'local'
    }
  | { readonly kind: 'reset-all' }
  | { readonly kind: 'discard-all' }
  | { readonly kind: 'prepare'; readonly name: string; readonly statement: SqlStatementFacts }
  | { readonly kind: 'deallocate' /** Undefined: all. */; readonly name?: string }
  | {
      readonly kind: 'declare-cursor'
      readonly name: string
      readonly statement: SqlStatementFacts
      readonly holds: boolean
    }
  | { readonly kind: 'close-cursor' /** Undefined: all. */; readonly name?: string }
  /** May change any of the above in a way the text does not show (set_config, DO, CALL, a function of unknown body, rollback of a SET). */
  | { readonly kind: 'unknown' }

export interface CopyFacts {
  readonly direction: 'from' | 'to'
  readonly endpoint: 'client' | 'file' | 'program'
  readonly format: 'text' | 'csv' | 'binary'
  readonly header: boolean
  readonly delimiter: string
  readonly nullText: string
  readonly quote: string
  readonly escape: string
  /** The statement whose RowDescription describes the columns sent, for direction `to`: safe to Parse and Describe. */
  readonly describeText?: string
}

export interface SqlStatementFacts {
  /** Lower-case leading verb such as `select`, `insert`, `create table`, `explain`, `copy`. */
  readonly verb: string
  readonly class: SqlClass
  readonly certainty: Certainty
  readonly tables: readonly TableAccess[]
  readonly columns: readonly ColumnAccess[]
  readonly functions: readonly FunctionCall[]
  /** Undefined for statements that return no rows. `unknown`: returns rows nobody can name from the text. */
  readonly output: readonly OutputColumn[] | 'unknown' | undefined
  /** False when an UPDATE or DELETE anywhere in it has no WHERE, or one that is constantly true. */
  readonly hasWhere: boolean
  /** A constant LIMIT / FETCH FIRST of the outermost query. */
  readonly rowLimit?: number
  /** Reads or writes server files or runs server programs. */
  readonly touchesFiles: boolean
  readonly touchesPrograms: boolean
  /** Runs SQL that is not in the text. */
  readonly isDynamic: boolean
  /** Copies values of read columns to another place: CTAS, INSERT ... SELECT, SELECT INTO, UPDATE ... SET a = b, COPY TO file, NOTIFY. */
  readonly launders: readonly ColumnSource[]
  readonly effects: readonly SessionEffect[]
  readonly copy?: CopyFacts
  /** EXECUTE name (SQL level): the prepared statement it runs. FETCH / MOVE name: the cursor. */
  readonly runs?: { readonly kind: 'prepared' | 'cursor'; readonly name: string }
  readonly transaction?:
    | 'begin'
    | 'commit'
    | 'rollback'
    | 'savepoint'
    | 'release'
    | 'rollback-to'
    | 'prepare'
    | 'commit-prepared'
    | 'rollback-prepared'
}

/** The facts of a whole command: every statement of the text, and their union where a rule asks about the command. */
export interface SqlFacts {
  readonly certainty: Certainty
  /** Why it is `unparsed`, for people. Never contains literals of the text. */
  readonly problem?: string
  readonly statements: readonly SqlStatementFacts[]
  /** The most harmful class of all statements; `unknown` when unparsed. */
  readonly class: SqlClass
  readonly verbs: readonly string[]
  readonly tables: readonly TableAccess[]
  readonly columns: readonly ColumnAccess[]
  readonly functions: readonly FunctionCall[]
  readonly hasWhere: boolean
  readonly touchesFiles: boolean
  readonly touchesPrograms: boolean
  readonly isDynamic: boolean
  readonly launders: readonly ColumnSource[]
  /** False: nothing that gives later text or names another meaning can come of it. */
  readonly mayChangeSession: boolean
  /** The text with literals replaced by `$n`: for grouping and for people. */
  readonly shape: string
}

/** Session state that changes what a text means. */
export interface SqlSessionState {
  readonly standardConformingStrings: boolean
  readonly clientEncoding: string
  readonly serverVersion?: string
  /** Undefined: the server's default, or no longer known. */
  readonly searchPath?: string
  readonly role?: string
}

/** Turns text into facts: pure, synchronous, never throws. Failures are facts with certainty `unparsed`. */
export interface SqlAnalyzer {
  readonly dialect: 'postgres' | 'mysql' | 'mariadb'
  /** `text` is the exact statement text, decoded. The same text and state give an identical (cached) object. */
  analyze(text: string, state: SqlSessionState): SqlFacts
}
