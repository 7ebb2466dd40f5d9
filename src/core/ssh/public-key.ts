import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { SshReader } from '../bytes/ssh-reader.js'
import { SshWriter } from '../bytes/ssh-writer.js'
import { type ErrorCode, SallyportError } from '../errors.js'

/** Key types that are understood. DSA is not: its signatures are of SHA-1, and so are those that RSA keys once made. */
export const SSH_KEY_TYPES = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const

export type SshKeyType = (typeof SSH_KEY_TYPES)[number]

/** A public key, decoded and checked. */
export interface SshPublicKey {
  readonly type: SshKeyType
  /** The key as it stands on the wire; a copy. Equal keys are equal bytes. */
  readonly blob: Uint8Array
  readonly keyObject: KeyObject
  readonly bits: number
  /** The relying party of a security key, such as `ssh:`; undefined for other keys. */
  readonly application?: string
}

/** The curves by the name that stands in the key (RFC 5656 section 10.1). */
const CURVES = {
  nistp256: { jwk: 'P-256', openssl: 'prime256v1', bits: 256 },
  nistp384: { jwk: 'P-384', openssl: 'secp384r1', bits: 384 },
  nistp521: { jwk: 'P-521', openssl: 'secp521r1', bits: 521 },
} as const

type CurveName = keyof typeof CURVES

/** Below this an RSA key is within reach of those with means. */
const MIN_RSA_BITS = 2_048
/** Verifying with longer ones costs more than an unauthenticated client may ask for; OpenSSH has the same limit. */
const MAX_RSA_BITS = 16_384
/** Longer exponents only slow verification down; all in use fit. */
const MAX_EXPONENT_BYTES = 8
const MAX_APPLICATION_BYTES = 1_024

/**
 * Decodes a public key blob. A certificate is not one: see `decodeSshCertificate`.
 *
 * @param code what a malformed key is: of a peer, or of an option
 * @throws SallyportError of that code, also for weak keys and types that are not understood
 * @see RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4
 */
export function decodeSshPublicKey(blob: Uint8Array, code: ErrorCode = 'protocol_violation'): SshPublicKey {
  const reader = new SshReader(blob, { message: 'public key', code })
  const type = reader.name()
  if (!isSshKeyType(type)) throw reader.problem(`is of type \`${type}\`, which is not accepted`)
  const key = readSshKeyFields(reader, type)
  reader.finish()
  return key
}

export function isSshKeyType(type: string): type is SshKeyType {
  return (SSH_KEY_TYPES as readonly string[]).includes(type)
}

/** Reads the fields that follow the type, as they stand in plain keys and in certificates alike. */
export function readSshKeyFields(reader: SshReader, type: SshKeyType): SshPublicKey {
  switch (type) {
    case 'ssh-ed25519':
      return ed25519(reader, type, undefined)
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
      return ecdsa(reader, type, type.slice('ecdsa-sha2-'.length) as CurveName)
    case 'ssh-rsa':
      return rsa(reader)
    case 'sk-ssh-ed25519@openssh.com':
      return ed25519(reader, type, 'security key')
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return ecdsa(reader, type, 'nistp256')
  }
}

/** string pk, and for security keys string application. */
function ed25519(reader: SshReader, type: SshKeyType, kind: 'security key' | undefined): SshPublicKey {
  const point = reader.string()
  if (point.length !== 32) throw reader.problem(`has an Ed25519 point of ${point.length} bytes, not 32`)
  const application = kind === undefined ? undefined : readApplication(reader)
  const writer = new SshWriter().text(type).string(point)
  if (application !== undefined) writer.text(application)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }
  return finish(reader, { type, blob: writer.take(), bits: 256 }, jwk, application)
}

/** string curve, string Q, and for security keys string application. */
function ecdsa(reader: SshReader, type: SshKeyType, curve: CurveName): SshPublicKey {
  const named = reader.name()
  if (named !== curve) throw reader.problem(`names curve \`${named}\` in a key of type \`${type}\``)
  const { jwk: crv, bits } = CURVES[curve]
  const size = Math.ceil(bits / 8)
  const point = reader.string()
  // Compressed points are allowed by the letter of the specification and made by nobody.
  if (point.length !== 1 + 2 * size || point[0] !== 0x04) throw reader.problem('has a point that is not uncompressed')
  const application = type.startsWith('sk-') ? readApplication(reader) : undefined
  const writer = new SshWriter().text(type).text(curve).string(point)
  if (application !== undefined) writer.text(application)
  const jwk = {
    kty: 'EC',
    crv,
    x: point.subarray(1, 1 + size).toString('base64url'),
    y: point.subarray(1 + size).toString('base64url'),
  }
  return finish(reader, { type, blob: writer.take(), bits }, jwk, application)
}

/** mpint e, mpint n. */
function rsa(reader: SshReader): SshPublicKey {
  const e = reader.mpint()
  const n = reader.mpint(MAX_RSA_BITS / 8 + 1)
  const bits = bitLength(n)
  if (bits < MIN_RSA_BITS) throw reader.problem(`is an RSA key of ${bits} bits, fewer than ${MIN_RSA_BITS}`)
  if (bits > MAX_RSA_BITS) throw reader.problem(`is an RSA key of ${bits} bits, more than ${MAX_RSA_BITS}`)
  const isOdd = ((n.at(-1) ?? 0) & (e.at(-1) ?? 0) & 1) === 1
  if (!isOdd || e.length > MAX_EXPONENT_BYTES || (e.length === 1 && (e[0] as number) < 3)) {
    throw reader.problem('is not a valid RSA key')
  }
  const blob = new SshWriter().text('ssh-rsa').mpint(e).mpint(n).take()
  const jwk = { kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') }
  return finish(reader, { type: 'ssh-rsa', blob, bits }, jwk, undefined)
}

function finish(
  reader: SshReader,
  parts: { readonly type: SshKeyType; readonly blob: Uint8Array; readonly bits: number },
  jwk: Record<string, string>,
  application: string | undefined,
): SshPublicKey {
  let keyObject: KeyObject
  try {
    // Refuses points that are not on their curve.
    keyObject = createPublicKey({ key: jwk, format: 'jwk' })
  } catch (cause) {
    throw reader.problem('is not a point of its curve', cause)
  }
  return { ...parts, keyObject, ...(application === undefined ? {} : { application }) }
}

function readApplication(reader: SshReader): string {
  const application = reader.text(MAX_APPLICATION_BYTES)
  if (application === '') throw reader.problem('has an empty application')
  return application
}

function bitLength(magnitude: Uint8Array): number {
  const first = magnitude[0]
  return first === undefined ? 0 : magnitude.length * 8 - (Math.clz32(first) - 24)
}

/**
 * The same key in the encoding of SSH.
 *
 * @param key public or private
 * @throws SallyportError `invalid_option` for kinds that SSH does not have, and for weak ones
 */
export function sshPublicKeyOf(key: KeyObject): SshPublicKey {
  const jwk = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' })
  const field = (name: 'x' | 'y' | 'e' | 'n'): Buffer => Buffer.from(String(jwk[name] ?? ''), 'base64url')
  const writer = new SshWriter()
  const curve = (Object.keys(CURVES) as CurveName[]).find((name) => CURVES[name].jwk === jwk.crv)
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    writer.text('ssh-ed25519').string(field('x'))
  } else if (jwk.kty === 'EC' && curve !== undefined) {
    writer
      .text(`ecdsa-sha2-${curve}`)
      .text(curve)
      .string(Buffer.concat([Buffer.of(0x04), field('x'), field('y')]))
  } else if (jwk.kty === 'RSA') {
    writer.text('ssh-rsa').mpint(field('e')).mpint(field('n'))
  } else {
    throw new SallyportError('invalid_option', 'expected an Ed25519, ECDSA or RSA key')
  }
  return decodeSshPublicKey(writer.take(), 'invalid_option')
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/**
 * The blob of a line as in `id_ed25519.pub`: type, base64, and a comment that is ignored.
 *
 * @throws SallyportError `invalid_option` when the type is not the one inside, or the base64 is none
 */
export function readSshKeyLine(line: string): { readonly type: string; readonly blob: Uint8Array } {
  const [type = '', base64 = ''] = line.trim().split(/[ \t]+/, 2)
  const blob = Buffer.from(base64, 'base64')
  if (!BASE64.test(base64) || blob.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) {
    throw new SallyportError('invalid_option', 'expected a key as `<type> <base64> [comment]`')
  }
  const reader = new SshReader(blob, { message: 'public key', code: 'invalid_option' })
  const inside = reader.name()
  if (inside !== type) throw reader.problem(`is of type \`${inside}\` behind the name \`${type.slice(0, 64)}\``)
  return { type, blob }
}

/**
 * A plain public key from a line as in `id_ed25519.pub`.
 *
 * @throws SallyportError `invalid_option`, also for a certificate
 */
export function parseSshPublicKey(line: string): SshPublicKey {
  return decodeSshPublicKey(readSshKeyLine(line).blob, 'invalid_option')
}

/** `SHA256:` and the digest of the blob in base64 without padding, as `ssh-keygen -l` shows it. */
export function sshFingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
