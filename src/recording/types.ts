import type { CommandAnswer, Effect, ReasonCode, Resource, SqlFacts, Subject } from '../core/index.js'
import type { CommandDetail } from './command-detail.js'
import type { StreamEvent } from './stream-events.js'

/** The value of `format` in the first line of every recording. */
export const RECORDING_FORMAT = 'sallyport-recording'

/** Raised when a reader of the old form could misread the new one. */
export const RECORDING_VERSION = 1

/** What is known when a session begins. Strings are recorded as given: keep secrets out of them. */
export interface RecordingHeader {
  readonly sessionId: string
  readonly subject: Subject
  readonly resource: Resource
  readonly clientAddress?: string
  readonly clientName?: string
  readonly startedAtUnixMs: number
  /** Which policy judged: its digest. */
  readonly policyDigest?: string
  /** What wrote this, such as `sallyport 0.1.0`. */
  readonly software?: string
}

/** The decision as recorded. A `PolicyOutcome` is one; equal shared objects are turned into text once. */
export interface RecordedVerdict {
  readonly effect: Effect
  readonly reason: ReasonCode
  readonly ruleId?: string
  readonly matchedRuleIds: readonly string[]
  readonly wouldBe?: 'deny' | 'hold'
}

interface EventBase {
  /** When it is recorded, in milliseconds since the Unix epoch. */
  readonly atUnixMs: number
}

/** A command and what was decided about it. */
export interface CommandEvent extends EventBase {
  readonly type: 'command'
  readonly id: number
  readonly kind: string
  /** The protocol's own word for how it came. */
  readonly via?: string
  readonly phase?: string
  /** The exact text. Secrets in SQL are taken out by the recorder before hashing. */
  readonly text: string
  /** Bound values as they may be shown, null for NULL. Mask them first: they are recorded as given. */
  readonly parameters?: readonly (string | null)[]
  /** Summarised in the record. The same object for the same text makes recording cheap. */
  readonly facts?: SqlFacts
  /** For other kinds than `sql`. With it, secrets of command lines are taken out of the text, not those of SQL alone. */
  readonly detail?: CommandDetail
  readonly transaction?: string
  readonly verdict: RecordedVerdict
  /** What was done in the end: forwarded or refused. */
  readonly permitted: boolean
  /** Why it was refused in the end, when that is not the verdict's own reason (an approval that expired, say). */
  readonly refusal?: ReasonCode
  /** The id of the hold it waited in. */
  readonly holdId?: string
  /** About the length of text and values together, for an event that makes them only when they are asked for. */
  readonly sizeHint?: number
}

/** How a permitted command ended; joins its command's line when that is not written yet. */
export interface AnswerEvent extends EventBase {
  readonly type: 'answer'
  readonly commandId: number
  readonly answer: CommandAnswer
}

/** Output as the client received it, after masking. The bytes are copied and kept exactly. */
export interface OutputEvent extends EventBase {
  readonly type: 'output'
  readonly commandId: number
  /** Such as `rows`, `copy`, `stdout`, `stderr`. */
  readonly channel: string
  readonly bytes: Uint8Array
}

/** A command begins to wait for approval. */
export interface HoldEvent extends EventBase {
  readonly type: 'hold'
  readonly commandId: number
  readonly holdId: string
  /** The command's. Says how secrets are found in its text; missing: as in SQL. */
  readonly kind?: string
  /** What the approval is bound to. */
  readonly digest?: string
  readonly ruleId?: string
  readonly text?: string
  readonly approverGroups?: readonly string[]
  readonly approvalsNeeded?: number
  readonly expiresAtUnixMs?: number
}

/** An answer of an approver, or the end of a hold without one. */
export interface ApprovalEvent extends EventBase {
  readonly type: 'approval'
  readonly commandId: number
  readonly holdId: string
  readonly outcome: 'approved' | 'rejected' | 'expired' | 'withdrawn' | 'unavailable'
  readonly approver?: string
  readonly comment?: string
}

/** Anything else worth keeping: log-in refused, cancel requested, policy replaced. */
export interface NoteEvent extends EventBase {
  readonly type: 'note'
  readonly text: string
  readonly details?: Readonly<Record<string, string | number | boolean>>
}

/** A rule asked for attention. */
export interface AlertEvent extends EventBase {
  readonly type: 'alert'
  readonly commandId?: number
  readonly ruleId?: string
  readonly text: string
}

/** What a session appends. The recorder itself writes `header`, `continued`, `end` and `seal`. */
export type RecordingEvent =
  | CommandEvent
  | AnswerEvent
  | OutputEvent
  | HoldEvent
  | ApprovalEvent
  | NoteEvent
  | AlertEvent
  | StreamEvent

/** Every value of `type` that a line can have. */
export type LineType = RecordingEvent['type'] | 'header' | 'continued' | 'end' | 'seal'
