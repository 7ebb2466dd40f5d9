import type { Command } from './command.js'
import type { Effect, ReasonCode, RecordLevel, TerminalMode } from './decision.js'
import type { MaskSet } from './masking.js'
import type { Resource } from './resource.js'
import type { Subject } from './subject.js'

/** What a rule may look at. Nothing else: no clock, no globals. */
export interface DecisionContext<C extends Command = Command> {
  readonly command: C
  readonly subject: Subject
  readonly resource: Resource
  readonly session: SessionContext
  readonly nowUnixMs: number
}

export interface SessionContext {
  readonly id: string
  readonly startedAtUnixMs: number
  /** Where the client connects from, as the driver saw it. */
  readonly clientAddress?: string
  /** What the client calls itself (application_name, user agent): never proof of anything. */
  readonly clientName?: string
}

/** How a hold is to be decided. */
export interface HoldTerms {
  /** Groups whose members may approve. Empty: anybody but the requester, who is behind them, and agents. */
  readonly approverGroups: readonly string[]
  readonly approvalsNeeded: number
  readonly timeoutMs: number
}

/** The combined answer of all rules to one command: deny > hold > allow > default deny. */
export interface PolicyOutcome {
  readonly effect: Effect
  /** For `deny`: why. `rule` or `default` for the others. */
  readonly reason: ReasonCode
  /** The rule that decided. */
  readonly ruleId?: string
  /** For the client, from the rule that decided. */
  readonly message?: string
  /** What the client may do about it, from the rule that decided. */
  readonly hint?: string
  /** Every rule that matched, sorted. */
  readonly matchedRuleIds: readonly string[]
  readonly masks: MaskSet
  readonly maxRows?: number
  readonly maxBytes?: number
  readonly recordLevel: RecordLevel
  /** The strictest mode that a matching rule names. Missing: none did, which is `guarded`. */
  readonly terminal?: TerminalMode
  readonly allowsRawTerminal?: boolean
  /** Texts of alerts to emit. */
  readonly alerts: readonly string[]
  readonly hold?: HoldTerms
  /** Set by observing rules: what would have happened. */
  readonly wouldBe?: 'deny' | 'hold'
}

/** A compiled policy. Outcomes for equal contexts may be one shared object: never change one. */
export interface Policy {
  /** A digest of the policy's canonical form, for the record. */
  readonly digest: string
  decide(context: DecisionContext): PolicyOutcome | Promise<PolicyOutcome>
  /** All masks any rule could ask for: what applies to text that belongs to no command. */
  readonly sessionMasks: MaskSet
}
