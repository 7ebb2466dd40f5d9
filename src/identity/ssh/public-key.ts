import {
  certifiedKeyType,
  decodeSshCertificate,
  decodeSshPublicKey,
  isSshSignatureAlgorithm,
  SallyportError,
  signatureAlgorithmsOf,
  sshFingerprint,
  SshWriter,
  verifySshSignature,
  type SshCertificate,
  type SshPublicKey,
  type SshSignatureAlgorithm,
  type Subject,
} from '../../core/index.js'
import type { AuthorizedKeys } from './authorized-keys.js'
import { judgeCertificate, readAuthority, type SshUserAuthority, type TrustedAuthority } from './certificate-trust.js'
import type { SshPermissions } from './key-options.js'
import { parseLoginName } from './login-name.js'
import type { SshRevocations } from './revocations.js'
import { refused, type SshKeyRefused, type SshKeyVerdict } from './verdict.js'

/** A `publickey` request (RFC 4252 section 7). */
export interface SshKeyAttempt {
  /** The user name exactly as the client sent it, target and all: it is what is signed. */
  readonly user: string
  readonly service: string
  /** The algorithm the request names: a type of key, for RSA with its hash, or that of a certificate. */
  readonly algorithm: string
  /** The key, or the certificate around it. */
  readonly key: Uint8Array
  readonly clientAddress?: string
  /** Missing: the client only asks whether this key would do. */
  readonly proof?: {
    /** Of this connection's first key exchange. */
    readonly sessionId: Uint8Array
    /** `string` algorithm, `string` signature, ... as on the wire. */
    readonly signature: Uint8Array
  }
}

/** Which keys and certificates let somebody in. Made by {@link sshTrust}. */
export interface SshTrust {
  readonly authorizedKeys: AuthorizedKeys
  readonly authorities: readonly TrustedAuthority[]
  readonly revocations: readonly SshRevocations[]
  readonly acceptsSecurityKeys: boolean
}

export interface SshTrustOptions {
  readonly authorizedKeys?: AuthorizedKeys
  readonly authorities?: readonly SshUserAuthority[]
  readonly revocations?: readonly SshRevocations[]
  /** Keys that live on a FIDO device. Default: false. */
  readonly acceptsSecurityKeys?: boolean
}

const NO_KEYS: AuthorizedKeys = { of: () => [] }

/** @throws SallyportError `invalid_option` for an authority's key that cannot be read, is weak, or is a certificate */
export function sshTrust(options: SshTrustOptions): SshTrust {
  return {
    authorizedKeys: options.authorizedKeys ?? NO_KEYS,
    authorities: (options.authorities ?? []).map(readAuthority),
    revocations: options.revocations ?? [],
    acceptsSecurityKeys: options.acceptsSecurityKeys ?? false,
  }
}

/** What a key would let its holder in as, if they hold it. */
interface Grant {
  readonly subject: Subject
  readonly permissions: SshPermissions
  readonly expiresAtUnixMs?: number
  readonly needsNoTouch: boolean
  readonly needsVerification: boolean
}

/**
 * Judges one `publickey` request, on its own: nothing of an earlier one counts, so a query about one key never speaks for
 * another. The signature is verified over what is rebuilt here from the session id, the user name, the service `ssh-connection`,
 * the algorithm and the key, whatever bytes the client sent.
 *
 * INVARIANT: without a signature the outcome is never `proved`.
 *
 * @see RFC 4252 section 7, RFC 8332 section 3.2
 */
export function judgePublicKey(attempt: SshKeyAttempt, trust: SshTrust, nowUnixMs: number): SshKeyVerdict {
  if (attempt.service !== 'ssh-connection') return refused('service', 'the service is not `ssh-connection`')
  const name = parseLoginName(attempt.user)
  if (name === undefined) return refused('name', 'the user name is none')
  const offer = readOffer(attempt)
  if ('outcome' in offer) return offer
  const { key, certificate, signatureAlgorithm } = offer
  if (key.application !== undefined && !trust.acceptsSecurityKeys) {
    return refused('key-type', 'security keys are not accepted here')
  }
  if (trust.revocations.some((list) => list.isKeyRevoked(key.blob))) return refused('revoked', 'the key was revoked')
  const check = { user: name.user, clientAddress: attempt.clientAddress, nowUnixMs }
  const grant = certificate === undefined ? judgeKey(key, trust, check) : certificateGrant(certificate, trust, check)
  if ('outcome' in grant) return grant
  if (attempt.proof === undefined) return { outcome: 'acceptable' }

  const signed = signedRequest(attempt, attempt.proof.sessionId)
  const facts = verifySshSignature(key, signatureAlgorithm, signed, attempt.proof.signature)
  if (facts === undefined) return refused('signature', 'the signature is not valid')
  if (facts.securityKey?.isUserPresent === false && !grant.needsNoTouch) {
    return refused('user-presence', 'nobody touched the security key')
  }
  if (grant.needsVerification && facts.securityKey?.isUserVerified !== true) {
    return refused('user-presence', 'no security key asked for a PIN or a finger')
  }
  return {
    outcome: 'proved',
    subject: grant.subject,
    facts: {
      fingerprint: sshFingerprint(key.blob),
      keyType: key.type,
      signatureAlgorithm,
      permissions: grant.permissions,
      ...(grant.expiresAtUnixMs === undefined ? {} : { expiresAtUnixMs: grant.expiresAtUnixMs }),
      ...(certificate === undefined
        ? {}
        : {
            certificate: {
              serial: certificate.serial.toString(),
              keyId: certificate.keyId,
              principals: certificate.principals,
              authorityFingerprint: sshFingerprint(certificate.authority.blob),
            },
          }),
    },
  }
}

interface Offer {
  readonly key: SshPublicKey
  readonly certificate?: SshCertificate
  readonly signatureAlgorithm: SshSignatureAlgorithm
}

const CERTIFIED = '-cert-v01@openssh.com'

/** Reads the key and makes sure that the algorithm named is one of it. */
function readOffer({ algorithm, key: blob }: SshKeyAttempt): Offer | SshKeyRefused {
  const isCertified = algorithm.endsWith(CERTIFIED)
  // `rsa-sha2-512-cert-v01@openssh.com` signs with `rsa-sha2-512`; the name alone of other types says which key they are of.
  const plain = isCertified ? (certifiedKeyType(algorithm) ?? algorithm.slice(0, -CERTIFIED.length)) : algorithm
  if (!isSshSignatureAlgorithm(plain)) return refused('algorithm', 'the algorithm is not accepted')
  try {
    if (!isCertified) {
      const key = decodeSshPublicKey(blob)
      return isOf(key, plain)
        ? { key, signatureAlgorithm: plain }
        : refused('algorithm', 'the algorithm is not of the key')
    }
    const certificate = decodeSshCertificate(blob)
    const { key } = certificate
    return isOf(key, plain)
      ? { key, certificate, signatureAlgorithm: plain }
      : refused('algorithm', 'the algorithm is not of the certificate')
  } catch (error) {
    if (error instanceof SallyportError) return refused('malformed-key', error.message)
    throw error
  }
}

function isOf(key: SshPublicKey, algorithm: SshSignatureAlgorithm): boolean {
  return signatureAlgorithmsOf(key.type).includes(algorithm)
}

interface Check {
  readonly user: string
  readonly clientAddress: string | undefined
  readonly nowUnixMs: number
}

function judgeKey(
  key: SshPublicKey,
  trust: SshTrust,
  { user, clientAddress, nowUnixMs }: Check,
): Grant | SshKeyRefused {
  const blob = Buffer.from(key.blob)
  let refusal = refused('unknown-key', 'the key is none of theirs')
  // The same key may stand on several lines; the first whose limits are kept counts.
  for (const { key: known, subject, options } of trust.authorizedKeys.of(user)) {
    if (!blob.equals(known.blob)) continue
    if (options.expiresAtUnixMs !== undefined && nowUnixMs >= options.expiresAtUnixMs) {
      refusal = refused('expired', 'the key has expired')
    } else if (options.isFrom !== undefined && !options.isFrom(clientAddress)) {
      refusal = refused('source-address', 'the key is not good from where the client is')
    } else {
      const { permissions, expiresAtUnixMs, needsNoTouch, needsVerification } = options
      const expiry = expiresAtUnixMs === undefined ? {} : { expiresAtUnixMs }
      return { subject, permissions, needsNoTouch, needsVerification, ...expiry }
    }
  }
  return refusal
}

function certificateGrant(certificate: SshCertificate, trust: SshTrust, check: Check): Grant | SshKeyRefused {
  const { authorities, revocations } = trust
  const grant = judgeCertificate(certificate, { ...check, authorities, revocations })
  if ('outcome' in grant) return grant
  const expiresAtUnixMs = Number(certificate.validBeforeUnixSeconds) * 1_000
  // Those that never expire are of the year 584 billion.
  return { ...grant, needsNoTouch: false, ...(Number.isSafeInteger(expiresAtUnixMs) ? { expiresAtUnixMs } : {}) }
}

const SSH_MSG_USERAUTH_REQUEST = 50

/** string session id, then the request up to the key: byte 50, user, service, `publickey`, TRUE, algorithm, key. */
function signedRequest({ user, service, algorithm, key }: SshKeyAttempt, sessionId: Uint8Array): Uint8Array {
  return new SshWriter()
    .string(sessionId)
    .u8(SSH_MSG_USERAUTH_REQUEST)
    .text(user)
    .text(service)
    .text('publickey')
    .boolean(true)
    .text(algorithm)
    .string(key)
    .take()
}
