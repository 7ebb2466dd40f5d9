import type { HoldTerms, Subject } from '../core/index.js'

/** Why somebody's word does not count for a hold. */
export type EligibilityProblem = 'no-identity' | 'self-approval' | 'not-in-group' | 'agent'

/**
 * Whether `approver` may decide on what `requester` asked for; undefined when they may.
 *
 * Nobody decides on their own request: not the requester, not the person behind an agent, not another
 * agent of the same person, not an agent of the requester.
 */
export function eligibilityProblem(
  approver: Subject,
  requester: Subject,
  terms: HoldTerms,
): EligibilityProblem | undefined {
  if (foldIdentity(approver.id) === '') return 'no-identity'
  if (sharesIdentity(approver, requester)) return 'self-approval'
  if (terms.approverGroups.length === 0) {
    // A hold is there to bring in a person. An agent counts only where a rule names its group.
    return approver.type === 'agent' ? 'agent' : undefined
  }
  const groups = approver.groups ?? []
  return terms.approverGroups.some((group) => groups.includes(group)) ? undefined : 'not-in-group'
}

/** True when both are, or act for, the same somebody. */
export function sharesIdentity(left: Subject, right: Subject): boolean {
  const mine = identitiesOf(left)
  return identitiesOf(right).some((identity) => mine.includes(identity))
}

function identitiesOf(subject: Subject): readonly string[] {
  const own = foldIdentity(subject.id)
  const behind = subject.onBehalfOf === undefined ? '' : foldIdentity(subject.onBehalfOf)
  return behind === '' ? [own] : [own, behind]
}

/** Fails closed: `Alice@example.com` and `alice@example.com` are one person here, whatever the identity provider thinks. */
function foldIdentity(id: string): string {
  return id.normalize('NFKC').trim().toLowerCase()
}
