import type { Resource, Secret, SshSignatureAlgorithm, Subject } from '../../core/index.js'

/** What the gateway logs in to an SSH target with. Never sent downstream. */
export type SshCredentials =
  | { readonly method: 'password'; readonly user: string; readonly password: Secret<string> }
  | ({ readonly method: 'key'; readonly user: string } & SshPrivateKey)
  | ({
      readonly method: 'certificate'
      readonly user: string
      /** The certificate of the private key, as on the wire. */
      readonly certificate: Uint8Array
    } & SshPrivateKey)

/** A private key as a file holds it: OpenSSH's own form or PEM. */
export interface SshPrivateKey {
  readonly privateKey: Secret<string>
  readonly passphrase?: Secret<string>
}

/** For whom and for what a credential is wanted. */
export interface SshCredentialRequest {
  readonly subject: Subject
  readonly resource: Resource
  /** Where the client comes from, for certificates that say so. */
  readonly clientAddress?: string
}

/** A credential for one session. */
export interface SshCredentialLease {
  readonly credentials: SshCredentials
  /** The session ends by then. Undefined: no end. */
  readonly expiresAtUnixMs?: number
  /** Called once when the session has ended. */
  release?(): void | Promise<void>
}

/**
 * Knows what an SSH target wants to see. Whatever it throws or rejects with refuses the session.
 *
 * INVARIANT: what it leases goes upstream only, and only after the target's host key was judged.
 */
export interface SshCredentialProvider {
  lease(request: SshCredentialRequest): SshCredentialLease | Promise<SshCredentialLease>
}

/** What is known of targets' host keys. */
export interface HostKeys {
  /** Judges the key a target showed, before anything secret is sent. */
  judge(shown: ShownHostKey): HostKeyVerdict
  /**
   * The host key algorithms to offer, so that a target that has several keys shows one that is known. Never empty; of
   * a host of which nothing is known, all that are accepted.
   */
  algorithms(host: string, port: number): readonly SshSignatureAlgorithm[]
}

export interface ShownHostKey {
  /** The name or address the gateway was told to connect to; never one that the network gave. */
  readonly host: string
  readonly port: number
  readonly key: Uint8Array
}

/** `changed`: another key is known of this host. `weak`: also malformed ones, and types that are not accepted. */
export type HostKeyRefusal = 'unknown' | 'changed' | 'revoked' | 'weak'

export type HostKeyVerdict =
  | { readonly isTrusted: true; readonly fingerprint: string }
  | {
      readonly isTrusted: false
      readonly reason: HostKeyRefusal
      readonly fingerprint: string
      /** What to tell the operator. */
      readonly message: string
    }
