import { createHash, timingSafeEqual } from 'node:crypto'
import { SallyportError, type Clock, type RandomBytes, type Secret, type Subject } from '../core/index.js'
import { loginRefused, type Identity } from './types.js'

/** A token as it is kept: nobody who reads the store can log in with it. */
export interface IssuedToken {
  /** SHA-256 of the token's UTF-8 bytes. */
  readonly digest: Uint8Array
  readonly subject: Subject
  readonly expiresAtUnixMs: number
  /** Where given, the token is good for this name at log-in only. */
  readonly user?: string
}

export interface TokensOptions {
  /** Looks a token up by its digest. */
  find(digest: Uint8Array): IssuedToken | undefined | Promise<IssuedToken | undefined>
  readonly clock: Clock
}

/** A longer password is none of our tokens, and is not hashed. */
const MAX_TOKEN_LENGTH = 4_096
/** 192 bits: beyond guessing, and short enough for a URL. */
const TOKEN_BYTES = 24

/**
 * Log-in by an opaque token in place of a password. It goes over the wire as it is, so TLS is needed.
 */
export function tokens(options: TokensOptions): Identity {
  return {
    challenge: () => ({ method: 'password' }),
    async authenticate(proof, { user }) {
      if (proof.method !== 'password') return loginRefused(user)
      const token = proof.password.expose()
      if (token.length === 0 || token.length > MAX_TOKEN_LENGTH) return loginRefused(user)
      const digest = digestToken(token)
      const issued = await options.find(digest)
      // The store may have found it by a prefix or a fold of its own; what counts is that all bytes agree.
      if (issued === undefined || issued.digest.length !== digest.length || !timingSafeEqual(issued.digest, digest)) {
        return loginRefused(user)
      }
      if (issued.expiresAtUnixMs <= options.clock.nowUnixMs()) return loginRefused(user)
      if (issued.user !== undefined && issued.user !== user) return loginRefused(user)
      return { isAdmitted: true, subject: issued.subject }
    },
  }
}

/** What is kept of a token. */
export function digestToken(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

/** A new token, for its owner to keep; the store keeps {@link digestToken} of it. */
export function createToken(random: RandomBytes): string {
  return `sp_${Buffer.from(random(TOKEN_BYTES)).toString('base64url')}`
}

/** Tokens kept in memory, found by digest. */
export class TokenStore {
  readonly #byDigest = new Map<string, IssuedToken>()

  /** @throws SallyportError `invalid_option` for a digest that is not of SHA-256 */
  add(token: IssuedToken): void {
    if (token.digest.length !== 32) throw new SallyportError('invalid_option', 'expected a digest of 32 bytes')
    this.#byDigest.set(key(token.digest), token)
  }

  /** Issues a token and returns it; it cannot be read again. */
  issue(token: Secret<string>, grant: Omit<IssuedToken, 'digest'>): void {
    this.add({ ...grant, digest: digestToken(token.expose()) })
  }

  revoke(digest: Uint8Array): boolean {
    return this.#byDigest.delete(key(digest))
  }

  readonly find = (digest: Uint8Array): IssuedToken | undefined => this.#byDigest.get(key(digest))
}

function key(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
