import type { CommandAnswer, Obligations, RowPlan, SqlFacts, TextExposure, SqlSessionState } from '../../core/index.js'
import type { CopyMasker } from './copy-rows.js'

/** The running of one permitted command: what its results are masked and capped by, and what came of it. */
export interface Run {
  readonly commandId: number
  readonly facts: SqlFacts
  readonly obligations: Obligations
  readonly tags: string[]
  rows: number
  bytes: number
  /** Whose description names the columns it returns, where no RowDescription comes with the rows. */
  described: Statement | Portal | undefined
  /** Of the result set being received. Undefined: its rows pass untouched. */
  plan: RowPlan | undefined
  isPlanned: boolean
  /** The result set being received has been described. */
  isDescribed: boolean
  copyMasker: CopyMasker | undefined
  /** What errors and notices of it may quote. Undefined: not known yet. */
  exposure: TextExposure | undefined
  /** A cap was reached: the rest of its answers is swallowed. */
  isCut: boolean
  /** At which. */
  cutAt: string
  isAnswered: boolean
  isSuspended: boolean
}

export function newRun(commandId: number, facts: SqlFacts, obligations: Obligations): Run {
  return {
    commandId,
    facts,
    obligations,
    tags: [],
    rows: 0,
    bytes: 0,
    described: undefined,
    plan: undefined,
    isPlanned: false,
    isDescribed: false,
    copyMasker: undefined,
    exposure: undefined,
    isCut: false,
    cutAt: '',
    isAnswered: false,
    isSuspended: false,
  }
}

export function answerOf(
  run: Run,
  outcome: CommandAnswer['outcome'],
  errorCode?: string,
  errorMessage?: string,
): CommandAnswer {
  const { tags, rows, bytes } = run
  if (errorCode === undefined || errorMessage === undefined) return { outcome, tags, rows, bytes }
  return { outcome, tags, rows, bytes, errorCode, errorMessage }
}

/** A prepared statement, by Parse or by SQL-level PREPARE. */
export interface Statement {
  readonly text: string
  /** As analysed: what an EXECUTE in it runs is looked up each time it runs. */
  readonly facts: SqlFacts
  /** Types of its parameters as far as Parse named them; 0 elsewhere. */
  readonly parameterTypes: readonly number[]
  /** When it was parsed. Undefined for SQL-level PREPARE. */
  readonly state: SqlSessionState | undefined
  /** The segment it was parsed in. Undefined: the name stood for it when that was last heard of. */
  readonly segment?: number
  /** The body of its RowDescription; `none` after NoData; undefined while not described. */
  description: Buffer | 'none' | undefined
  /** When that was asked for: what `Shared.meaning` was then. */
  described?: DescribedAt
}

/** A description tells what names meant then. Later the same text can read other tables. */
export interface DescribedAt {
  readonly meaning: number
  readonly atUnixMs: number
}

/** A portal by Bind, or a cursor by DECLARE. */
export interface Portal {
  readonly text: string
  readonly facts: SqlFacts
  readonly statement: Statement | undefined
  readonly resultFormats: readonly number[]
  /** When it was bound. */
  readonly state: SqlSessionState
  readonly survivesTransaction: boolean
  /** The server has answered for it. */
  isBound: boolean
  /** The segment it was bound in. Undefined as in {@link Statement}. */
  readonly segment?: number
  /** What was known of its statement's columns when it was bound, where nothing can have changed since. */
  readonly inherited?: Buffer | 'none' | undefined
  description: Buffer | 'none' | undefined
  described?: DescribedAt
  run: Run
}

/** One message that was sent upstream and what the target still owes for it, in order. */
export type Owed =
  | {
      readonly kind: 'query'
      readonly run: Run
      /** What a Query does away with where it is not discarded itself. */
      readonly unnamed: { readonly statement: Statement | undefined; readonly portal: Portal | undefined }
      /** The statement whose result comes next. */
      statement: number
      hasFailed: boolean
    }
  | { readonly kind: 'function'; readonly run: Run; hasFailed: boolean }
  | {
      readonly kind: 'parse'
      readonly name: string
      readonly statement: Statement
      /** What the name stood for before. */
      previous: Statement | undefined
      readonly commandId: number
      readonly isOwn: boolean
    }
  | { readonly kind: 'bind'; readonly name: string; previous: Portal | undefined; readonly portal: Portal }
  | {
      readonly kind: 'describe'
      readonly target: Statement | Portal
      readonly at: DescribedAt
      readonly isOwn: boolean
    }
  | { readonly kind: 'execute'; readonly portal: Portal; readonly run: Run }
  | {
      readonly kind: 'close-statement'
      readonly name: string
      previous: Statement | undefined
      readonly isOwn: boolean
    }
  | { readonly kind: 'close-portal'; readonly name: string; previous: Portal | undefined; readonly isOwn: boolean }
  | { readonly kind: 'sync'; readonly isOwn: boolean }
  /** A syntax error of our own, whose text becomes the denial. */
  | {
      readonly kind: 'refusal'
      /** What the client is told. Undefined: the target's own words. */
      readonly response: Buffer | undefined
      readonly isSimple: boolean
      isTold: boolean
    }
