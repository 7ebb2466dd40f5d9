import type { SqlFacts, SqlSessionState } from './sql-facts.js'

/** A value bound to a statement. */
export interface BoundValue {
  /** PostgreSQL type OID or the protocol's type number; 0 when the server chooses. */
  readonly type: number
  readonly format: 'text' | 'binary'
  /** Exact bytes as sent; undefined for NULL. A copy: safe to keep. */
  readonly bytes?: Uint8Array
}

export interface CommandBase {
  /** Unique within its session, counted from 1. */
  readonly id: number
  /** Protocol name, such as `postgres`. */
  readonly protocol: string
}

/**
 * A SQL text about to run or to be prepared.
 *
 * `prepare`: the text is only planned (Parse); values are not known yet and nothing runs. A hold is not
 * acted on here, it waits for the values. `execute`: it runs, with these values.
 */
export interface SqlCommand extends CommandBase {
  readonly kind: 'sql'
  readonly dialect: 'postgres' | 'mysql' | 'mariadb'
  readonly phase: 'prepare' | 'execute'
  /** How it came: the protocol's own word, such as `Query`, `Parse`, `Bind`, `FunctionCall`. */
  readonly via: string
  readonly text: string
  readonly parameters: readonly BoundValue[]
  readonly facts: SqlFacts
  readonly state: SqlSessionState
  /** `idle`, `transaction` or `failed`, as last reported by the server. */
  readonly transaction: 'idle' | 'transaction' | 'failed'
  /** Counts transactions of this session: tells apart two transactions in an approval. */
  readonly transactionSerial: number
}

/** Plug-ins add their commands by declaration merging. */
export interface CommandKinds {
  sql: SqlCommand
}

export type Command = CommandKinds[keyof CommandKinds]
