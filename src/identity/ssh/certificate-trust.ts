import {
  certificateOptionText,
  isSignedByAuthority,
  parseSshPublicKey,
  sshFingerprint,
  type SshCertificate,
  type SshPublicKey,
  type Subject,
} from '../../core/index.js'
import { parseSourceAddresses } from './addresses.js'
import type { SshPermissions } from './key-options.js'
import type { SshRevocations } from './revocations.js'
import { refused, type SshKeyRefused } from './verdict.js'

/** An authority whose user certificates are believed. */
export interface SshUserAuthority {
  /** Its public key as in `ca.pub`. A certificate is no key. */
  readonly key: string
  /**
   * Who somebody with a valid certificate is. Undefined: nobody. Default: whoever they log in as, which one of the
   * certificate's principals has to be anyway.
   */
  subject?(certificate: SshCertificate, user: string): Subject | undefined
}

/** An authority, its key read. */
export interface TrustedAuthority {
  readonly key: SshPublicKey
  subject(certificate: SshCertificate, user: string): Subject | undefined
}

/** @throws SallyportError `invalid_option` for a key that cannot be read, is weak, or is a certificate */
export function readAuthority(authority: SshUserAuthority): TrustedAuthority {
  return {
    key: parseSshPublicKey(authority.key),
    subject: (certificate, user) =>
      authority.subject === undefined ? { id: user } : authority.subject(certificate, user),
  }
}

/** What a certificate's holder is let in as. */
export interface CertificateGrant {
  readonly subject: Subject
  readonly permissions: SshPermissions
  readonly needsVerification: boolean
}

export interface CertificateCheck {
  readonly user: string
  readonly clientAddress: string | undefined
  readonly authorities: readonly TrustedAuthority[]
  readonly revocations: readonly SshRevocations[]
  readonly nowUnixMs: number
}

/**
 * Decides whether a certificate lets its holder in, cheap checks first: an authority that nobody trusts never makes us verify
 * its signature. Time has no slack: valid after <= now < valid before.
 *
 * @see PROTOCOL.certkeys of OpenSSH
 */
export function judgeCertificate(
  certificate: SshCertificate,
  check: CertificateCheck,
): CertificateGrant | SshKeyRefused {
  const { user, clientAddress, authorities, revocations, nowUnixMs } = check
  const blob = Buffer.from(certificate.authority.blob)
  const authority = authorities.find(({ key }) => blob.equals(key.blob))
  if (authority === undefined) {
    return refused('authority', `nobody trusts the authority ${sshFingerprint(certificate.authority.blob)}`)
  }
  if (certificate.kind !== 'user') return refused('certificate-kind', 'the certificate is not of a user')
  const isRevoked = revocations.some(
    (list) =>
      list.isKeyRevoked(certificate.key.blob) ||
      list.isKeyRevoked(certificate.authority.blob) ||
      list.isCertificateRevoked(certificate),
  )
  if (isRevoked) return refused('revoked', `certificate ${certificate.serial} was revoked`)
  // Fails closed: to OpenSSH a certificate without principals is good for every name.
  if (certificate.principals.length === 0) return refused('principals', 'the certificate names no principals')
  if (!certificate.principals.includes(user)) return refused('principals', `\`${user}\` is none of its principals`)
  const now = BigInt(Math.floor(nowUnixMs / 1_000))
  if (now < certificate.validAfterUnixSeconds) return refused('not-yet-valid', 'the certificate is not valid yet')
  if (now >= certificate.validBeforeUnixSeconds) return refused('expired', 'the certificate has expired')
  if (!isSignedByAuthority(certificate)) return refused('authority', 'the certificate is not signed by its authority')
  const limits = readCriticalOptions(certificate, clientAddress)
  if ('outcome' in limits) return limits
  const subject = authority.subject(certificate, user)
  if (subject === undefined) return refused('unknown-key', 'the certificate is of nobody who is known')
  const has = (name: string): boolean => certificate.extensions.some((each) => each.name === name)
  return {
    subject,
    permissions: {
      allowsPty: has('permit-pty'),
      allowsPortForwarding: has('permit-port-forwarding'),
      allowsAgentForwarding: has('permit-agent-forwarding'),
      allowsX11Forwarding: has('permit-X11-forwarding'),
      allowsUserRc: has('permit-user-rc'),
      ...(limits.forcedCommand === undefined ? {} : { forcedCommand: limits.forcedCommand }),
    },
    needsVerification: limits.needsVerification,
  }
}

interface CriticalLimits {
  readonly forcedCommand?: string
  readonly needsVerification: boolean
}

/** Each restricts; one that is not understood, or whose value is not, may not be passed over. */
function readCriticalOptions(
  certificate: SshCertificate,
  clientAddress: string | undefined,
): CriticalLimits | SshKeyRefused {
  let forcedCommand: string | undefined
  let needsVerification = false
  for (const option of certificate.criticalOptions) {
    const text = certificateOptionText(option)
    if (option.name === 'force-command' && text !== undefined && text !== '') {
      forcedCommand = text
    } else if (option.name === 'source-address' && text !== undefined) {
      const isFrom = parseSourceAddresses(text)
      if (isFrom === undefined) return refused('critical-option', 'its source addresses cannot be read')
      if (!isFrom(clientAddress)) return refused('source-address', 'it is not good from where the client is')
    } else if (option.name === 'verify-required' && option.data.length === 0) {
      needsVerification = true
    } else {
      return refused('critical-option', `its critical option \`${option.name}\` is not understood`)
    }
  }
  return { ...(forcedCommand === undefined ? {} : { forcedCommand }), needsVerification }
}
