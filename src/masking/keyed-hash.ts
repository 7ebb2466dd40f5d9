import { createHmac, type Hmac } from 'node:crypto'
import { SallyportError, type Secret } from '../core/index.js'
import { HmacSha256 } from './hmac-sha-256.js'

const MIN_KEY_BYTES = 16

/** Of longer values the native function makes up for its call. */
const MAX_SHORT_BYTES = 512

/** HMAC-SHA-256 under the masking key, one domain per use, so that a hash in one place cannot be looked up in another. */
export class KeyedHash {
  readonly #key: Buffer
  readonly #short: HmacSha256
  /** Few: one per column type and detector. */
  readonly #prefixes = new Map<string, Buffer>()

  /** @throws SallyportError `invalid_option` for a key shorter than 16 bytes */
  constructor(key: Secret<Uint8Array>) {
    this.#key = Buffer.from(key.expose())
    if (this.#key.length < MIN_KEY_BYTES) {
      throw new SallyportError(
        'invalid_option',
        `the masking key needs at least ${MIN_KEY_BYTES} bytes, got ${this.#key.length}`,
      )
    }
    this.#short = new HmacSha256(this.#key)
  }

  begin(domain: string): Hmac {
    return createHmac('sha256', this.#key).update(domain).update('\0')
  }

  /** A view of 32 bytes that the next call overwrites. */
  digest(domain: string, bytes: Uint8Array, start: number, end: number): Buffer {
    if (end - start > MAX_SHORT_BYTES) return this.begin(domain).update(bytes.subarray(start, end)).digest()
    let prefix = this.#prefixes.get(domain)
    if (prefix === undefined) this.#prefixes.set(domain, (prefix = Buffer.from(`${domain}\0`)))
    return this.#short.digest(prefix, bytes, start, end)
  }
}
