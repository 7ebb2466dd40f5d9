import { SallyportError, type HoldTerms, type Subject } from '../core/index.js'
import { eligibilityProblem, sharesIdentity, type EligibilityProblem } from './eligibility.js'

/**
 * The states of a hold, and what leads from one to the next:
 *
 * ```
 * waiting --approve (not yet enough)--> waiting
 * waiting --approve (enough)----------> approved --release--> released
 * waiting --reject--> rejected          approved --reject---> rejected
 * waiting | approved --expire----> expired
 * waiting | approved --withdraw--> withdrawn
 * ```
 *
 * `released`, `rejected`, `expired` and `withdrawn` are final.
 *
 * INVARIANT: `released` is reached at most once, before `expiresAtUnixMs`, with the digest the hold was
 * made with, and with `approvalsNeeded` approvals of different eligible people.
 */
export type HoldPhase = 'waiting' | 'approved' | 'released' | 'rejected' | 'expired' | 'withdrawn'

/** What a hold is made from. */
export interface HoldSeed {
  readonly id: string
  /** Of the command and all that gives it its meaning: see `holdDigest`. */
  readonly digest: string
  readonly requester: Subject
  readonly terms: HoldTerms
}

/** One person's yes. */
export interface Approval {
  readonly approver: Subject
  readonly atUnixMs: number
  readonly comment?: string
}

/** A held command's way to its end. Never changed: every transition returns a new one. */
export interface Hold extends HoldSeed {
  readonly phase: HoldPhase
  readonly createdAtUnixMs: number
  /** From this moment on nothing can release it. */
  readonly expiresAtUnixMs: number
  readonly approvals: readonly Approval[]
  readonly rejectedBy?: Subject
  readonly rejection?: string
}

export type HoldRefusalCode =
  | EligibilityProblem
  /** It is no longer waiting. */
  | 'not-waiting'
  | 'expired'
  /** The same person, or another identity of theirs, has approved already. */
  | 'already-approved'
  /** Release: approvals are missing. */
  | 'not-approved'
  /** Release: what would run is not what was approved. */
  | 'digest-mismatch'
  | 'unknown-hold'

/** Why a transition did not happen. The hold is as it was. */
export interface HoldRefusal {
  readonly code: HoldRefusalCode
  /** One line for the approver. */
  readonly message: string
}

export type HoldStep =
  | { readonly ok: true; readonly hold: Hold }
  | { readonly ok: false; readonly refusal: HoldRefusal }

/**
 * A new hold, waiting.
 *
 * @throws SallyportError `invalid_policy` when the terms make no sense: they could otherwise never, or always, be met
 */
export function createHold(seed: HoldSeed, nowUnixMs: number): Hold {
  const { approvalsNeeded, timeoutMs } = seed.terms
  if (!Number.isSafeInteger(approvalsNeeded) || approvalsNeeded < 1) {
    throw new SallyportError(
      'invalid_policy',
      `expected a whole number of approvals from 1, got \`${approvalsNeeded}\``,
    )
  }
  if (!Number.isFinite(timeoutMs) || timeoutMs <= 0) {
    throw new SallyportError('invalid_policy', `expected a positive hold time in milliseconds, got \`${timeoutMs}\``)
  }
  return {
    id: seed.id,
    digest: seed.digest,
    requester: seed.requester,
    terms: seed.terms,
    phase: 'waiting',
    createdAtUnixMs: nowUnixMs,
    expiresAtUnixMs: nowUnixMs + timeoutMs,
    approvals: [],
  }
}

/** Counts one person's yes. */
export function approveHold(hold: Hold, approver: Subject, nowUnixMs: number, comment?: string): HoldStep {
  if (hold.phase !== 'waiting') return refuse('not-waiting', `the hold is already ${hold.phase}`)
  const problem = deciderProblem(hold, approver, nowUnixMs)
  if (problem !== undefined) return problem
  if (hold.approvals.some((approval) => sharesIdentity(approval.approver, approver))) {
    return refuse('already-approved', `\`${approver.id}\` has already approved this hold`)
  }
  const approval: Approval = {
    approver,
    atUnixMs: nowUnixMs,
    ...(comment === undefined ? {} : { comment }),
  }
  const approvals = [...hold.approvals, approval]
  const phase = approvals.length >= hold.terms.approvalsNeeded ? 'approved' : 'waiting'
  return step({ ...hold, phase, approvals })
}

/** One no ends it, also after others said yes. Who may approve may reject. */
export function rejectHold(hold: Hold, approver: Subject, reason: string, nowUnixMs: number): HoldStep {
  if (isFinal(hold)) return refuse('not-waiting', `the hold is already ${hold.phase}`)
  const problem = deciderProblem(hold, approver, nowUnixMs)
  if (problem !== undefined) return problem
  return step({ ...hold, phase: 'rejected', rejectedBy: approver, rejection: reason })
}

/** Time is up. Refused before `expiresAtUnixMs`. */
export function expireHold(hold: Hold, nowUnixMs: number): HoldStep {
  if (isFinal(hold)) return refuse('not-waiting', `the hold is already ${hold.phase}`)
  if (nowUnixMs < hold.expiresAtUnixMs) return refuse('not-waiting', 'the hold has time left')
  return step({ ...hold, phase: 'expired' })
}

/** The requester left, or no longer wants it. */
export function withdrawHold(hold: Hold): HoldStep {
  if (isFinal(hold)) return refuse('not-waiting', `the hold is already ${hold.phase}`)
  return step({ ...hold, phase: 'withdrawn' })
}

/** Uses the approval up. `digest` is computed anew from what is about to run. */
export function releaseHold(hold: Hold, digest: string, nowUnixMs: number): HoldStep {
  if (hold.phase === 'waiting') return refuse('not-approved', 'approvals are missing')
  if (hold.phase !== 'approved') return refuse('not-waiting', `the hold is already ${hold.phase}`)
  if (nowUnixMs >= hold.expiresAtUnixMs) return refuse('expired', 'the approval has expired')
  if (digest !== hold.digest) return refuse('digest-mismatch', 'what would run is not what was approved')
  return step({ ...hold, phase: 'released' })
}

/** How many approvals are still missing. */
export function approvalsMissing(hold: Hold): number {
  return Math.max(0, hold.terms.approvalsNeeded - hold.approvals.length)
}

export function isFinal(hold: Hold): boolean {
  return hold.phase !== 'waiting' && hold.phase !== 'approved'
}

function deciderProblem(hold: Hold, approver: Subject, nowUnixMs: number): HoldStep | undefined {
  if (nowUnixMs >= hold.expiresAtUnixMs) return refuse('expired', 'the hold has expired')
  const problem = eligibilityProblem(approver, hold.requester, hold.terms)
  return problem === undefined ? undefined : refuse(problem, ELIGIBILITY_MESSAGES[problem])
}

const ELIGIBILITY_MESSAGES: Readonly<Record<EligibilityProblem, string>> = {
  'no-identity': 'an approver needs an identity',
  'self-approval': 'nobody decides on their own request, nor on that of an agent that acts for them',
  'not-in-group': 'only members of the approver groups may decide on this hold',
  agent: 'an agent may only decide on a hold whose rule names one of its groups',
}

function step(hold: Hold): HoldStep {
  return { ok: true, hold }
}

function refuse(code: HoldRefusalCode, message: string): HoldStep {
  return { ok: false, refusal: { code, message } }
}
