import { createHash, sign, verify, type KeyObject } from 'node:crypto'
import { SshReader } from '../bytes/ssh-reader.js'
import { SshWriter } from '../bytes/ssh-writer.js'
import { SallyportError } from '../errors.js'
import { type SshKeyType, type SshPublicKey, sshPublicKeyOf } from './public-key.js'

/** How signatures are made. `ssh-rsa`, which signs SHA-1, is left out on purpose. */
export const SSH_SIGNATURE_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const

export type SshSignatureAlgorithm = (typeof SSH_SIGNATURE_ALGORITHMS)[number]

/** What a valid signature says beyond being valid. */
export interface SshSignatureFacts {
  /** Given for security keys. */
  readonly securityKey?: {
    /** Somebody touched the key. */
    readonly isUserPresent: boolean
    /** The key asked for a PIN or a finger. */
    readonly isUserVerified: boolean
    readonly counter: number
  }
}

export function isSshSignatureAlgorithm(name: string): name is SshSignatureAlgorithm {
  return (SSH_SIGNATURE_ALGORITHMS as readonly string[]).includes(name)
}

/** The algorithms that a key of this type may sign with, the preferred one first. */
export function signatureAlgorithmsOf(type: SshKeyType): readonly SshSignatureAlgorithm[] {
  return type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]
}

/** The algorithm a signature says it is of; undefined when it cannot be read. */
export function signatureAlgorithmIn(signature: Uint8Array): string | undefined {
  return reading(() => new SshReader(signature, { message: 'signature', code: 'protocol_violation' }).name())
}

/**
 * Verifies a signature of exactly this algorithm. Undefined: it is not valid, whatever the reason.
 *
 * @param signature `string` algorithm, `string` signature, and for security keys `byte` flags, `uint32` counter
 * @see RFC 4253 section 6.6, RFC 5656 section 3.1.2, RFC 8332 section 3, RFC 8709 section 6, PROTOCOL.u2f of OpenSSH
 */
export function verifySshSignature(
  key: SshPublicKey,
  algorithm: string,
  data: Uint8Array,
  signature: Uint8Array,
): SshSignatureFacts | undefined {
  if (!isSshSignatureAlgorithm(algorithm) || !signatureAlgorithmsOf(key.type).includes(algorithm)) return undefined
  return reading(() => {
    const reader = new SshReader(signature, { message: 'signature', code: 'protocol_violation' })
    if (reader.name() !== algorithm) return undefined
    const body = reader.string()
    if (key.application === undefined) {
      reader.finish()
      return verifyBody(key, algorithm, data, body) ? {} : undefined
    }
    const flags = reader.byte()
    const counter = reader.uint32()
    reader.finish()
    const signed = Buffer.concat([
      sha256(Buffer.from(key.application, 'utf8')),
      new SshWriter().u8(flags).u32(counter).take(),
      sha256(data),
    ])
    if (!verifyBody(key, algorithm, signed, body)) return undefined
    return { securityKey: { isUserPresent: (flags & 0x01) !== 0, isUserVerified: (flags & 0x04) !== 0, counter } }
  })
}

function verifyBody(key: SshPublicKey, algorithm: SshSignatureAlgorithm, data: Uint8Array, body: Buffer): boolean {
  switch (algorithm) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com':
      return body.length === 64 && verify(null, data, key.keyObject, body)
    case 'rsa-sha2-256':
    case 'rsa-sha2-512': {
      // Some signers drop leading zero bytes.
      const size = Math.ceil(key.bits / 8)
      if (body.length > size) return false
      const padded = Buffer.concat([Buffer.alloc(size - body.length), body])
      return verify(algorithm === 'rsa-sha2-256' ? 'sha256' : 'sha512', data, key.keyObject, padded)
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
    case 'sk-ecdsa-sha2-nistp256@openssh.com': {
      // mpint r, mpint s
      const reader = new SshReader(body, { message: 'signature', code: 'protocol_violation' })
      const size = Math.ceil(key.bits / 8)
      const halves = [reader.mpint(size + 1), reader.mpint(size + 1)]
      reader.finish()
      if (halves.some((half) => half.length === 0 || half.length > size)) return false
      const raw = Buffer.concat(halves.flatMap((half) => [Buffer.alloc(size - half.length), half]))
      return verify(ecdsaHash(key.bits), data, { key: key.keyObject, dsaEncoding: 'ieee-p1363' }, raw)
    }
  }
}

/**
 * Signs in the encoding of SSH. ECDSA draws its nonce from the operating system, as everything that signs does.
 *
 * @param key a private Ed25519, ECDSA or RSA key
 * @param algorithm default: the preferred one of the key
 * @throws SallyportError `invalid_option` for an algorithm that is not of this key
 */
export function signSsh(key: KeyObject, data: Uint8Array, algorithm?: SshSignatureAlgorithm): Uint8Array {
  const { type, bits } = sshPublicKeyOf(key)
  const chosen = algorithm ?? signatureAlgorithmsOf(type)[0]
  if (chosen === undefined || !signatureAlgorithmsOf(type).includes(chosen)) {
    throw new SallyportError('invalid_option', `a key of type \`${type}\` does not sign with \`${chosen}\``)
  }
  const writer = new SshWriter().text(chosen)
  if (chosen === 'ssh-ed25519') return writer.string(sign(null, data, key)).take()
  if (chosen === 'rsa-sha2-256') return writer.string(sign('sha256', data, key)).take()
  if (chosen === 'rsa-sha2-512') return writer.string(sign('sha512', data, key)).take()
  const raw = sign(ecdsaHash(bits), data, { key, dsaEncoding: 'ieee-p1363' })
  const size = raw.length / 2
  const body = new SshWriter().mpint(raw.subarray(0, size)).mpint(raw.subarray(size)).take()
  return writer.string(body).take()
}

/** RFC 5656 section 6.2.1. */
function ecdsaHash(bits: number): string {
  if (bits <= 256) return 'sha256'
  return bits <= 384 ? 'sha384' : 'sha512'
}

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

/** Fails closed: what cannot be read proves nothing. */
function reading<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof SallyportError) return undefined
    throw error
  }
}
