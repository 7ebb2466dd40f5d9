import type { Command, Resource, Subject } from '../core/index.js'
import type { Approval, HoldSeed } from './hold.js'

/** A command that waits for people, with all they need to decide. */
export interface HoldRequest extends HoldSeed {
  readonly sessionId: string
  readonly resource: Resource
  readonly clientAddress?: string
  /** What the client calls itself: never proof of anything. */
  readonly clientName?: string
  /** The command itself, with its values. */
  readonly command: Command
  readonly ruleId?: string
  /** The rule's words. */
  readonly message?: string
  readonly requestedAtUnixMs: number
}

/** How a hold ended. */
export type ApprovalResolution =
  | { readonly outcome: 'approved'; readonly by: readonly Approval[] }
  | { readonly outcome: 'rejected'; readonly by: Subject; readonly reason: string }
  | { readonly outcome: 'expired' }
  | { readonly outcome: 'withdrawn' }
  /** Too many holds wait already. */
  | { readonly outcome: 'limit'; readonly message: string }
  /** Nobody can be asked. */
  | { readonly outcome: 'unavailable'; readonly message: string }

/**
 * Where people are asked: in memory, by chat, by a ticket. A broker is not trusted with the decision
 * itself: the enforcer counts the approvals it returns through the same state machine again.
 */
export interface ApprovalBroker {
  /**
   * Resolves when the hold has ended. Anything else than a resolution is a denial: a rejection or a throw is
   * `approval-unavailable`, no answer in time is `approval-expired`.
   *
   * @param withdrawn aborts when nobody waits for the answer any more; an answer after that is ignored
   */
  request(hold: HoldRequest, withdrawn: AbortSignal): Promise<ApprovalResolution>
}
