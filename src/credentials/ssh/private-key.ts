import { createPrivateKey, type KeyObject } from 'node:crypto'
import { SallyportError, Secret, SshReader, SshWriter, sshPublicKeyOf } from '../../core/index.js'
import type { SshPrivateKey } from './types.js'

const OPENSSH = /^-----BEGIN OPENSSH PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END OPENSSH PRIVATE KEY-----\s*$/
const MAGIC = 'openssh-key-v1\0'
/** PKCS #8 of an Ed25519 key, up to its seed (RFC 8410 section 7). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
const ED25519_SEED_BYTES = 32

/**
 * Reads a private key: PEM with or without a passphrase, and OpenSSH's own form without one. Its encrypted form needs
 * a key derivation that the platform does not have: `ssh-keygen -p -m PKCS8` turns it into PEM.
 *
 * @throws SallyportError `invalid_option`; its message tells nothing of the key
 * @see PROTOCOL.key of OpenSSH
 */
export function readSshPrivateKey(source: SshPrivateKey): KeyObject {
  const text = source.privateKey.expose().trim()
  const own = OPENSSH.exec(text)
  if (own !== null) return readOpenSsh(Buffer.from(own[1] ?? '', 'base64'))
  try {
    const passphrase = source.passphrase?.expose()
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) })
  } catch {
    // The platform's own error may quote what it read.
    throw new SallyportError('invalid_option', 'the private key cannot be read, or its passphrase is wrong')
  }
}

/**
 * string cipher, string kdf, string kdf options, uint32 number of keys, string public key, string private section, which is
 * uint32 check, uint32 check, string type, fields, string comment, padding 1, 2, 3, ...
 */
function readOpenSsh(bytes: Buffer): KeyObject {
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) throw unreadable()
  const outer = new SshReader(bytes.subarray(MAGIC.length), { message: 'private key', code: 'invalid_option' })
  if (outer.string().toString('latin1') !== 'none') {
    throw new SallyportError(
      'invalid_option',
      'the private key is encrypted in a form of its own: `ssh-keygen -p -m PKCS8` makes it PEM',
    )
  }
  outer.string()
  outer.string()
  if (outer.uint32() !== 1) throw unreadable()
  const publicKey = outer.string()
  const section = new SshReader(outer.string(), { message: 'private key', code: 'invalid_option' })
  outer.finish()
  const check = section.uint32()
  if (section.uint32() !== check) throw unreadable()
  const jwk = readFields(section, section.name())
  section.string()
  if (section.rest().some((byte, at) => byte !== at + 1)) throw unreadable()
  let key: KeyObject
  try {
    key = createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    throw unreadable()
  }
  if (!publicKey.equals(sshPublicKeyOf(key).blob)) throw unreadable()
  return key
}

function readFields(section: SshReader, type: string): Record<string, string> {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  if (type === 'ssh-ed25519') {
    const x = section.string()
    // The seed and, once more, the public key.
    const d = section.string().subarray(0, ED25519_SEED_BYTES)
    return { kty: 'OKP', crv: 'Ed25519', x: text(x), d: text(d) }
  }
  if (type === 'ssh-rsa') {
    const [n, e, d, qi, p, q] = [0, 0, 0, 0, 0, 0].map(() => section.mpint()) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ]
    const [dp, dq] = [remainder(d, p), remainder(d, q)]
    const parts = { n, e, d, p, q, dp, dq, qi }
    return { kty: 'RSA', ...Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, text(value)])) }
  }
  const curve = { 'ecdsa-sha2-nistp256': 32, 'ecdsa-sha2-nistp384': 48, 'ecdsa-sha2-nistp521': 66 }[type]
  if (curve === undefined) throw section.problem('is of a type that is not accepted')
  section.string()
  const point = section.string()
  const d = section.mpint(curve + 1)
  if (point.length !== 1 + 2 * curve || d.length > curve) throw unreadable()
  return {
    kty: 'EC',
    crv: { 32: 'P-256', 48: 'P-384', 66: 'P-521' }[curve] ?? '',
    x: text(point.subarray(1, 1 + curve)),
    y: text(point.subarray(1 + curve)),
    d: text(Buffer.concat([Buffer.alloc(curve - d.length), d])),
  }
}

/** d mod (prime - 1), which OpenSSH leaves to be computed. */
function remainder(d: Buffer, prime: Buffer): Buffer {
  const modulus = toBigInt(prime) - 1n
  if (modulus <= 0n) throw unreadable()
  const hex = (toBigInt(d) % modulus).toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
}

function toBigInt(bytes: Buffer): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`)
}

function unreadable(): SallyportError {
  return new SallyportError('invalid_option', 'the private key cannot be read')
}

/** A new Ed25519 key. @param seed 32 random bytes */
export function ed25519KeyFrom(seed: Uint8Array): KeyObject {
  if (seed.length !== ED25519_SEED_BYTES) throw new SallyportError('internal', 'expected a seed of 32 bytes')
  return createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' })
}

/** An Ed25519 key in OpenSSH's own form, which is the one that SSH clients read. */
export function writeOpenSshKey(key: KeyObject): Secret<string> {
  const { type, blob } = sshPublicKeyOf(key)
  if (type !== 'ssh-ed25519' || key.type !== 'private')
    throw new SallyportError('invalid_option', 'expected a private Ed25519 key')
  const { x, d } = key.export({ format: 'jwk' })
  const point = Buffer.from(x ?? '', 'base64url')
  const section = new SshWriter()
    .u32(0)
    .u32(0)
    .text(type)
    .string(point)
    .string(Buffer.concat([Buffer.from(d ?? '', 'base64url'), point]))
    .text('')
  for (let pad = 1; section.length % 8 !== 0; pad++) section.u8(pad)
  const file = new SshWriter()
    .append(Buffer.from(MAGIC, 'latin1'))
    .text('none')
    .text('none')
    .text('')
    .u32(1)
    .string(blob)
    .string(section.take())
    .take()
  const lines = file.toString('base64').replaceAll(/.{70}/g, '$&\n').trimEnd()
  return new Secret(`-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`)
}
