import type { KeyObject } from 'node:crypto'
import {
  certificateTypeOf,
  encodeUnsignedCertificate,
  signSsh,
  sshPublicKeyOf,
  SshWriter,
  type SshCertificateFields,
  type SshSignatureAlgorithm,
} from '../../core/index.js'
import type { SshKeyAttempt } from './public-key.js'

export const SESSION_ID = Buffer.alloc(32, 5)
export const NOW_UNIX_MS = 1_800_000_000_000
const NOW_SECONDS = BigInt(NOW_UNIX_MS / 1_000)

/** A certificate as its authority would make it, with whatever is not given filled in. */
export function certificateFor(
  key: KeyObject,
  authority: KeyObject,
  fields: Partial<SshCertificateFields> = {},
): Uint8Array {
  const unsigned = encodeUnsignedCertificate(sshPublicKeyOf(key), sshPublicKeyOf(authority), Buffer.alloc(32, 1), {
    kind: 'user',
    serial: 7n,
    keyId: 'alice at work',
    principals: ['alice'],
    validAfterUnixSeconds: NOW_SECONDS - 60n,
    validBeforeUnixSeconds: NOW_SECONDS + 60n,
    criticalOptions: [],
    extensions: [],
    ...fields,
  })
  return new SshWriter().append(unsigned).string(signSsh(authority, unsigned)).take()
}

export interface AttemptParts {
  readonly user?: string
  readonly service?: string
  readonly algorithm?: string
  /** A certificate, instead of the key. */
  readonly blob?: Uint8Array
  readonly signatureAlgorithm?: SshSignatureAlgorithm
  readonly sessionId?: Uint8Array
  readonly clientAddress?: string
}

/** A request without a signature. */
export function query(key: KeyObject, parts: AttemptParts = {}): SshKeyAttempt {
  const own = sshPublicKeyOf(key)
  const plain = parts.signatureAlgorithm ?? (own.type === 'ssh-rsa' ? 'rsa-sha2-512' : own.type)
  const certified = own.type === 'ssh-rsa' ? `${plain}-cert-v01@openssh.com` : certificateTypeOf(own.type)
  return {
    user: parts.user ?? 'alice+web-1',
    service: parts.service ?? 'ssh-connection',
    algorithm: parts.algorithm ?? (parts.blob === undefined ? plain : certified),
    key: parts.blob ?? own.blob,
    ...(parts.clientAddress === undefined ? {} : { clientAddress: parts.clientAddress }),
  }
}

/** The same with the signature that a client would make (RFC 4252 section 7). */
export function signed(key: KeyObject, parts: AttemptParts = {}): SshKeyAttempt {
  const attempt = query(key, parts)
  const sessionId = parts.sessionId ?? SESSION_ID
  const request = new SshWriter()
    .string(sessionId)
    .u8(50)
    .text(attempt.user)
    .text(attempt.service)
    .text('publickey')
    .boolean(true)
    .text(attempt.algorithm)
    .string(attempt.key)
    .take()
  const type = sshPublicKeyOf(key).type
  const algorithm = parts.signatureAlgorithm ?? (type === 'ssh-rsa' ? 'rsa-sha2-512' : undefined)
  return { ...attempt, proof: { sessionId, signature: signSsh(key, request, algorithm) } }
}
