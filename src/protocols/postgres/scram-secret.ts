import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { SallyportError, type ScramVerifier, type Secret } from '../../core/index.js'
import { preparePassword } from './saslprep.js'

/** SHA-256. */
export const KEY_BYTES = 32

/** More would let a peer, or a careless setting, stop the event loop: 100,000 iterations take some 50 ms. */
export const DEFAULT_MAX_ITERATIONS = 100_000

const DEFAULT_SALT_BYTES = 16
const DEFAULT_ITERATIONS = 4096

/** SaltedPassword := Hi(Normalize(password), salt, iterations) (RFC 5802 section 3). */
export function saltPassword(password: Secret<string>, salt: Uint8Array, iterations: number): Buffer {
  return pbkdf2Sync(preparePassword(password.expose()), salt, iterations, KEY_BYTES, 'sha256')
}

export function hmac(key: Uint8Array, data: Uint8Array | string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

export function hash(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

/**
 * What a server keeps of a password.
 *
 * @param salt random bytes, 16 by custom
 * @param iterations 4096 is PostgreSQL's default
 * @throws SallyportError `invalid_option` for an empty salt or fewer than one iteration
 */
export function makeScramVerifier(password: Secret<string>, salt: Uint8Array, iterations: number): ScramVerifier {
  if (!Number.isSafeInteger(iterations) || iterations < 1 || iterations > 0x7fff_ffff) {
    throw new SallyportError('invalid_option', `expected a positive number of iterations, got \`${iterations}\``)
  }
  if (salt.length === 0) throw new SallyportError('invalid_option', 'a SCRAM salt cannot be empty')
  const salted = saltPassword(password, salt, iterations)
  return {
    iterations,
    salt: Uint8Array.from(salt),
    storedKey: hash(hmac(salted, 'Client Key')),
    serverKey: hmac(salted, 'Server Key'),
  }
}

/**
 * A verifier for a user who does not exist: always the same for one name, so that nobody learns from the salt who
 * exists, and no password fits it.
 *
 * @param key at least 16 random bytes, kept as long as the process lives
 * @param like what the verifiers of real users look like
 */
export function mockVerifier(
  user: string,
  key: Uint8Array,
  like: { readonly iterations?: number; readonly saltBytes?: number } = {},
): ScramVerifier {
  const derive = (purpose: string): Buffer => hmac(key, `sallyport mock ${purpose}\0${user}`)
  return {
    iterations: like.iterations ?? DEFAULT_ITERATIONS,
    salt: derive('salt').subarray(0, Math.min(like.saltBytes ?? DEFAULT_SALT_BYTES, KEY_BYTES)),
    storedKey: derive('stored key'),
    serverKey: derive('server key'),
  }
}

/**
 * Reads a secret as PostgreSQL keeps it in `pg_authid.rolpassword`: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
 *
 * @throws SallyportError `invalid_option`; the message does not repeat the text
 */
export function parseScramSecret(text: string): ScramVerifier {
  const match = /^SCRAM-SHA-256\$([1-9]\d{0,9}):([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]+=*):([A-Za-z0-9+/]+=*)$/.exec(text)
  const iterations = Number(match?.[1])
  const salt = decodeBase64(match?.[2] ?? '')
  const storedKey = decodeBase64(match?.[3] ?? '')
  const serverKey = decodeBase64(match?.[4] ?? '')
  if (
    !(iterations <= 0x7fff_ffff) ||
    salt === undefined ||
    salt.length === 0 ||
    storedKey?.length !== KEY_BYTES ||
    serverKey?.length !== KEY_BYTES
  ) {
    throw new SallyportError('invalid_option', 'expected a secret of the form SCRAM-SHA-256$iterations:salt$key:key')
  }
  return { iterations, salt, storedKey, serverKey }
}

/** The text that {@link parseScramSecret} reads. */
export function formatScramSecret(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier
  return `SCRAM-SHA-256$${iterations}:${encodeBase64(salt)}$${encodeBase64(storedKey)}:${encodeBase64(serverKey)}`
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Undefined unless `text` is exactly the base64 of something. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
