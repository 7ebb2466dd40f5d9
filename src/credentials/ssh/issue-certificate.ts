import type { KeyObject } from 'node:crypto'
import {
  certificateOption,
  certificateTypeOf,
  encodeUnsignedCertificate,
  SallyportError,
  signSsh,
  sshPublicKeyOf,
  SshWriter,
  type SshCertificateOption,
  type SshPublicKey,
} from '../../core/index.js'

/** What a user certificate may permit. */
export type SshCertificatePermission =
  | 'permit-pty'
  | 'permit-port-forwarding'
  | 'permit-agent-forwarding'
  | 'permit-X11-forwarding'
  | 'permit-user-rc'

export interface UserCertificateOptions {
  /** The key to certify. */
  readonly key: SshPublicKey
  /** Who its owner may log in as. At least one: none would mean everybody. */
  readonly principals: readonly string[]
  /** What targets log: who this is. */
  readonly keyId: string
  /** Default: 0, not numbered. */
  readonly serial?: bigint
  readonly validAfterUnixMs: number
  readonly validBeforeUnixMs: number
  /** Default: `permit-pty` and `permit-port-forwarding`; the gateway's policy decides on both. */
  readonly permissions?: readonly SshCertificatePermission[]
  /** Runs in place of whatever is asked for. */
  readonly forcedCommand?: string
  /** Blocks such as `10.0.0.0/8` that the target has to be reached from: those of the gateway. */
  readonly sourceAddresses?: readonly string[]
  /** 32 random bytes. */
  readonly nonce: Uint8Array
}

/** A certificate, on the wire and as a line for a file. */
export interface IssuedUserCertificate {
  readonly blob: Uint8Array
  /** As `id_ed25519-cert.pub` holds it. */
  readonly line: string
}

const NONCE_BYTES = 32
const PERMISSIONS: readonly SshCertificatePermission[] = ['permit-pty', 'permit-port-forwarding']

/**
 * Certifies a key for a user, as `ssh-keygen -s` does. RSA authorities sign with SHA-512.
 *
 * @param authority the private key of the certificate authority
 * @throws SallyportError `invalid_option` for no principals, a window that is empty, or a nonce of another length
 * @see PROTOCOL.certkeys of OpenSSH
 */
export function issueUserCertificate(authority: KeyObject, options: UserCertificateOptions): IssuedUserCertificate {
  const { key, principals, keyId, nonce } = options
  if (principals.length === 0 || principals.includes('')) {
    throw new SallyportError('invalid_option', 'a certificate needs principals: one without is good for every user')
  }
  const validAfterUnixSeconds = toSeconds(options.validAfterUnixMs)
  const validBeforeUnixSeconds = toSeconds(options.validBeforeUnixMs)
  if (validAfterUnixSeconds >= validBeforeUnixSeconds) {
    throw new SallyportError('invalid_option', 'a certificate has to be valid for at least a second')
  }
  if (nonce.length !== NONCE_BYTES)
    throw new SallyportError('invalid_option', `expected a nonce of ${NONCE_BYTES} bytes`)
  const criticalOptions: SshCertificateOption[] = []
  if (options.forcedCommand !== undefined)
    criticalOptions.push(certificateOption('force-command', options.forcedCommand))
  if (options.sourceAddresses !== undefined) {
    criticalOptions.push(certificateOption('source-address', options.sourceAddresses.join(',')))
  }
  const unsigned = encodeUnsignedCertificate(key, sshPublicKeyOf(authority), nonce, {
    kind: 'user',
    serial: options.serial ?? 0n,
    keyId,
    principals,
    validAfterUnixSeconds,
    validBeforeUnixSeconds,
    criticalOptions,
    extensions: (options.permissions ?? PERMISSIONS).map((name) => certificateOption(name)),
  })
  const blob = new SshWriter().append(unsigned).string(signSsh(authority, unsigned)).take()
  return { blob, line: `${certificateTypeOf(key.type)} ${blob.toString('base64')}` }
}

function toSeconds(unixMs: number): bigint {
  if (!(unixMs >= 0 && Number.isFinite(unixMs)))
    throw new SallyportError('invalid_option', 'expected a time after 1970')
  return BigInt(Math.floor(unixMs / 1_000))
}
