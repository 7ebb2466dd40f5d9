import type { Resource, Subject, UpstreamCredentials } from '../core/index.js'

/** For whom and for what a credential is wanted. */
export interface CredentialRequest {
  readonly subject: Subject
  readonly resource: Resource
  readonly database?: string
}

/** A credential for one session. */
export interface CredentialLease {
  readonly credentials: UpstreamCredentials
  /** The session ends by then. Undefined: no end. */
  readonly expiresAtUnixMs?: number
  /** Called once when the session has ended. */
  release?(): void | Promise<void>
}

/**
 * Knows what the target wants to see. Whatever it throws or rejects with refuses the session.
 *
 * INVARIANT: what it leases goes upstream only, never downstream.
 */
export interface CredentialProvider {
  lease(request: CredentialRequest): CredentialLease | Promise<CredentialLease>
}
