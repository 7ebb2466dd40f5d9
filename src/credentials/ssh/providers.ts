import { type Clock, printableText, type RandomBytes, SallyportError, sshPublicKeyOf } from '../../core/index.js'
import { issueUserCertificate, type SshCertificatePermission } from './issue-certificate.js'
import { ed25519KeyFrom, readSshPrivateKey, writeOpenSshKey } from './private-key.js'
import type { SshCredentialProvider, SshCredentialRequest, SshCredentials, SshPrivateKey } from './types.js'

/**
 * The same credential for everybody, by resource name.
 *
 * @throws SallyportError `upstream_authentication_failed` at a lease for a resource that has none
 */
export function staticSshCredentials(byResource: Readonly<Record<string, SshCredentials>>): SshCredentialProvider {
  const known = new Map(Object.entries(byResource))
  return {
    lease({ resource }) {
      const credentials = known.get(resource.name)
      if (credentials !== undefined) return { credentials }
      throw new SallyportError('upstream_authentication_failed', `resource \`${resource.name}\` has no credential`)
    },
  }
}

export interface IssuedSshCertificatesOptions {
  /** The private key that targets trust as `TrustedUserCAKeys`. */
  readonly authority: SshPrivateKey
  /** The account on the target. Undefined: this subject has none there. */
  user(request: SshCredentialRequest): string | undefined
  /** Default: the account alone. */
  principals?(request: SshCredentialRequest, user: string): readonly string[]
  /** How long one can be used to log in; a session that is open goes on. Default: 2 minutes. */
  readonly lifetimeMs?: number
  /** Default: `permit-pty` and `permit-port-forwarding`. */
  readonly permissions?: readonly SshCertificatePermission[]
  /** Where the targets see the gateway come from; the certificate is good from nowhere else. */
  readonly sourceAddresses?: readonly string[]
  readonly random: RandomBytes
  readonly clock: Clock
}

const LIFETIME_MS = 120_000
/** The target's clock may be behind. */
const BEFORE_MS = 30_000
const MAX_KEY_ID_LENGTH = 512

/**
 * A new key and a short-lived certificate for every session, in the name of its subject: the target's own log says who it was,
 * and there is nothing to steal that lasts.
 *
 * @throws SallyportError `invalid_option` for an authority's key that cannot be read; at a lease `upstream_authentication_failed`
 *   for a subject without an account
 */
export function issuedSshCertificates(options: IssuedSshCertificatesOptions): SshCredentialProvider {
  const authority = readSshPrivateKey(options.authority)
  const lifetimeMs = options.lifetimeMs ?? LIFETIME_MS
  return {
    lease(request) {
      const user = options.user(request)
      if (user === undefined) {
        const { subject, resource } = request
        throw new SallyportError(
          'upstream_authentication_failed',
          `\`${subject.id}\` has no account on \`${resource.name}\``,
        )
      }
      const key = ed25519KeyFrom(options.random(32))
      const now = options.clock.nowUnixMs()
      const serial = Buffer.from(options.random(8)).readBigUInt64BE()
      const { blob } = issueUserCertificate(authority, {
        key: sshPublicKeyOf(key),
        principals: options.principals?.(request, user) ?? [user],
        keyId: printableText(`sallyport ${request.subject.id} on ${request.resource.name}`).slice(0, MAX_KEY_ID_LENGTH),
        serial,
        validAfterUnixMs: Math.max(0, now - BEFORE_MS),
        validBeforeUnixMs: now + lifetimeMs,
        ...(options.permissions === undefined ? {} : { permissions: options.permissions }),
        ...(options.sourceAddresses === undefined ? {} : { sourceAddresses: options.sourceAddresses }),
        nonce: options.random(32),
      })
      return { credentials: { method: 'certificate', user, privateKey: writeOpenSshKey(key), certificate: blob } }
    },
  }
}
