import type { Denial, IdentityChallenge, IdentityProof, Resource, Subject } from '../core/index.js'

/** Who asks to be let in, and where. Only `peerName` is proved; everything else is what the client says. */
export interface IdentityRequest {
  /** The name given at log-in. */
  readonly user: string
  readonly database?: string
  readonly resource: Resource
  readonly isEncrypted: boolean
  /** The name in the client's verified certificate. */
  readonly peerName?: string
  readonly clientAddress?: string
}

/** The end of a log-in. */
export type IdentityVerdict =
  | { readonly isAdmitted: true; readonly subject: Subject }
  | { readonly isAdmitted: false; readonly denial: Denial }

/**
 * Decides who somebody is. Whatever it throws or rejects with refuses the log-in.
 *
 * INVARIANT: the challenge for an unknown user looks like that for a known one.
 */
export interface Identity {
  /** How this user has to prove who they are. */
  challenge(request: IdentityRequest): IdentityChallenge | Promise<IdentityChallenge>
  /** Judges the proof. A SCRAM proof has been verified by the connection against the challenge's verifier already. */
  authenticate(proof: IdentityProof, request: IdentityRequest): IdentityVerdict | Promise<IdentityVerdict>
}

/** The one answer to every failed log-in: it must not tell an unknown user from a wrong password. */
export function loginRefused(user: string): IdentityVerdict {
  return { isAdmitted: false, denial: { reason: 'default', message: `authentication failed for user "${user}"` } }
}
