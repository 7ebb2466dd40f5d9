import { createHmac, type Hmac } from 'node:crypto'
import { SallyportError, type Secret } from '../core/index.js'

const MIN_KEY_BYTES = 16

/** HMAC-SHA-256 under the masking key, one domain per use, so that a hash in one place cannot be looked up in another. */
export class KeyedHash {
  readonly #key: Buffer

  /** @throws SallyportError `invalid_option` for a key shorter than 16 bytes */
  constructor(key: Secret<Uint8Array>) {
    this.#key = Buffer.from(key.expose())
    if (this.#key.length < MIN_KEY_BYTES) {
      throw new SallyportError(
        'invalid_option',
        `the masking key needs at least ${MIN_KEY_BYTES} bytes, got ${this.#key.length}`,
      )
    }
  }

  begin(domain: string): Hmac {
    return createHmac('sha256', this.#key).update(domain).update('\0')
  }

  digest(domain: string, bytes: Uint8Array, start: number, end: number): Buffer {
    return this.begin(domain).update(bytes.subarray(start, end)).digest()
  }
}
