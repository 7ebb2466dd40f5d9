import { timingSafeEqual } from 'node:crypto'
import type { CancelTarget, RandomBytes } from '../core/index.js'

/** PostgreSQL up to protocol 3.0 has room for four bytes; a connection cuts the key for such clients. */
const SHORT_KEY_BYTES = 4
const KEY_BYTES = 32

interface Entry<T> {
  readonly secretKey: Uint8Array
  readonly session: T
}

/**
 * What cancel requests may name: process ids and keys of the gateway's own. The target's never leave it, and
 * a key that fits nothing is answered like one that fits.
 */
export class CancelRegistry<T> {
  readonly #entries = new Map<number, Entry<T>>()
  readonly #random: RandomBytes

  constructor(random: RandomBytes) {
    this.#random = random
  }

  /** A new key, of 32 bytes and a process id that no other session has. */
  issue(session: T): CancelTarget {
    let processId = 0
    do {
      // Positive in 31 bits: some clients keep it as a signed number.
      processId = Buffer.from(this.#random(4)).readUInt32BE(0) & 0x7fff_ffff
    } while (processId === 0 || this.#entries.has(processId))
    const secretKey = this.#random(KEY_BYTES)
    this.#entries.set(processId, { secretKey, session })
    return { processId, secretKey }
  }

  revoke(processId: number): void {
    this.#entries.delete(processId)
  }

  /** Undefined unless the key is right. */
  find(target: CancelTarget): T | undefined {
    const { length } = target.secretKey
    if (length !== KEY_BYTES && length !== SHORT_KEY_BYTES) return undefined
    const entry = this.#entries.get(target.processId)
    if (entry === undefined) return undefined
    return timingSafeEqual(entry.secretKey.subarray(0, length), target.secretKey) ? entry.session : undefined
  }

  get size(): number {
    return this.#entries.size
  }
}
