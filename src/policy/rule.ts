import type { DecisionContext, Effect, HoldTerms, MaskStrategy, RecordLevel, TerminalMode } from '../core/index.js'
import type { Match } from './match.js'

/** What replaces a value: a strategy by name, or with its parameters. */
export type MaskStrategyInput = 'redact' | 'partial' | 'hash' | 'null' | MaskStrategy

/** Columns to mask, as `schema.table.column`, `table.column` or `column`; a part may be `*`. */
export interface ColumnMask {
  readonly column: string
  /** Default `redact`. */
  readonly strategy?: MaskStrategyInput
}

/** A class of values to mask wherever text can carry it. */
export interface DetectorMask {
  readonly detector: string
  /** Default `redact`. */
  readonly strategy?: MaskStrategyInput
}

export interface RuleMasks {
  readonly columns?: readonly (string | ColumnMask)[]
  readonly detectors?: readonly (string | DetectorMask)[]
}

export type PolicyMode = 'enforce' | 'observe'

/** What a policy file can say of a rule. */
export interface FileRule {
  /** Unique in the policy; told to the client and put on record. */
  readonly id: string
  readonly description?: string
  /** Without one the rule carries obligations only. */
  readonly effect?: Effect
  /** Without one the rule is about every command. */
  readonly match?: Match
  /** One line for the client, when this rule decides. */
  readonly message?: string
  /** What the client may do about it. */
  readonly hint?: string
  /** For effect `hold`; what is missing comes from the policy's defaults. */
  readonly hold?: Partial<HoldTerms>
  readonly mask?: RuleMasks
  readonly maxRows?: number
  readonly maxBytes?: number
  readonly recordLevel?: RecordLevel
  /** How an interactive shell is let through. Where rules differ, `guarded`; where none says, `guarded` too. */
  readonly terminal?: TerminalMode
  /** Full-screen programs may run in a guarded terminal, unseen while they do. Only if every rule that says anything says true. */
  readonly allowsRawTerminal?: boolean
  /** Text of an alert to emit when the rule matches. */
  readonly alert?: string
  /** `observe`: the rule is evaluated and reported but does not act. Default `enforce`. */
  readonly mode?: PolicyMode
  /** The allow or hold also covers commands that could not be parsed. Not with matchers that need the parse. */
  readonly evenIfUnparsed?: boolean
}

/** A rule, as TypeScript writes it. */
export interface Rule extends FileRule {
  /** Asked after `match` holds. Anything but a boolean (or a promise of one), and any error, is a denial. */
  readonly when?: (context: DecisionContext) => boolean | Promise<boolean>
}

/** Values that rules leave out. */
export interface PolicyDefaults {
  readonly hold?: Partial<HoldTerms>
  readonly recordLevel?: RecordLevel
  readonly maxRows?: number
  readonly maxBytes?: number
  /** What the client is told when no rule allows its command. */
  readonly message?: string
  readonly hint?: string
}
