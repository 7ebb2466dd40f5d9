import type { Subject } from '../../core/index.js'
import type { SshPermissions } from './key-options.js'

/** Why a key does not let anybody in. */
export type SshKeyRefusal =
  | 'service'
  | 'name'
  | 'algorithm'
  | 'malformed-key'
  | 'key-type'
  | 'unknown-key'
  | 'revoked'
  | 'expired'
  | 'not-yet-valid'
  | 'source-address'
  | 'authority'
  | 'certificate-kind'
  | 'principals'
  | 'critical-option'
  | 'signature'
  | 'user-presence'

/** For the record: the client is told nothing but that it failed. */
export interface SshKeyRefused {
  readonly outcome: 'refused'
  readonly reason: SshKeyRefusal
  readonly message: string
}

/** What is on record of a key that let somebody in, and what it limits them to. */
export interface SshKeyFacts {
  /** Of the key, never of the certificate around it. */
  readonly fingerprint: string
  readonly keyType: string
  readonly signatureAlgorithm: string
  readonly permissions: SshPermissions
  /** The session may not outlive it. */
  readonly expiresAtUnixMs?: number
  readonly certificate?: SshCertificateFacts
}

export interface SshCertificateFacts {
  /** Decimal, as it may be beyond what a number holds. */
  readonly serial: string
  readonly keyId: string
  readonly principals: readonly string[]
  readonly authorityFingerprint: string
}

/**
 * What a `publickey` request comes to.
 *
 * `acceptable`: without a signature; a signature by this key would be looked at, and nobody has proved anything.
 * `proved`: whoever asks holds the key.
 */
export type SshKeyVerdict =
  | SshKeyRefused
  | { readonly outcome: 'acceptable' }
  | { readonly outcome: 'proved'; readonly subject: Subject; readonly facts: SshKeyFacts }

export function refused(reason: SshKeyRefusal, message: string): SshKeyRefused {
  return { outcome: 'refused', reason, message }
}
