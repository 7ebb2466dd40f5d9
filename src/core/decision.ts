import type { ResultMasker } from './masking.js'

/** Why a command was refused. Closed list; each has a line in `docs/errors.md`. */
export const REASON_CODES = [
  'rule',
  'default',
  'unparsed',
  'unsupported',
  'engine-error',
  'recorder-unavailable',
  'approval-rejected',
  'approval-expired',
  'approval-unavailable',
  'withdrawn',
  'limit',
  'revoked',
  'masking',
] as const

export type ReasonCode = (typeof REASON_CODES)[number]

export type Effect = 'deny' | 'hold' | 'allow'

export type RecordLevel = 'none' | 'statement' | 'full'

/**
 * How an interactive shell is let through. `guarded`: the gateway owns the line and judges each one on Enter. `record`:
 * everything passes and is recorded; what is run in it is not decided on.
 */
export type TerminalMode = 'guarded' | 'record'

/** What must be done along with a permit. */
export interface Obligations {
  /** Undefined: no mask applies to this command's results and their bytes stay as they are. */
  readonly masker?: ResultMasker
  /** At most this many rows may come back; one more ends the result with the protocol's own error. */
  readonly maxRows?: number
  readonly maxBytes?: number
  /** `full` also records the (masked) output itself. */
  readonly recordLevel?: RecordLevel
  /** For interactive shells. Missing: `guarded`, the stricter. */
  readonly terminal?: TerminalMode
  /** `full`-screen and raw programs may run in a guarded terminal, unseen while they do. Missing: false. */
  readonly allowsRawTerminal?: boolean
}

/** Why and by whom a command was refused: what the client is told. Never contains row data. */
export interface Denial {
  readonly reason: ReasonCode
  /** One line for a person, without secrets. */
  readonly message: string
  /** The rule that decided, when one did. */
  readonly ruleId?: string
  /** What the client may do about it. */
  readonly hint?: string
}
