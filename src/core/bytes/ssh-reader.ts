import { ERROR_CODES, type ErrorCode, SallyportError } from '../errors.js'

export interface SshReaderOptions {
  /** What is being read, for error texts: `SSH_FXP_OPEN`, `certificate`. */
  readonly message: string
  /** What a violation is: `protocol_violation` for bytes of a client, `upstream_protocol_violation` for the target's. */
  readonly code: ErrorCode
  /** No string may be longer. Default: 256 KiB, the largest packet OpenSSH takes. */
  readonly maxStringBytes?: number
  /** A name-list may have at most so many names. Default: 1,024. */
  readonly maxNames?: number
}

const MAX_STRING_BYTES = 262_144
const MAX_NAMES = 1_024
/** 16,384 bits, beyond any key in use, and the byte that keeps it positive. */
const MAX_MPINT_BYTES = 2_049

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Walks over SSH data types, checking every step against the end. Nothing is copied but what says so.
 * Every problem is a SallyportError of the code given, or `limit_exceeded` with the same blame, naming the message and never
 * its content.
 *
 * @see RFC 4251 section 5
 */
export class SshReader {
  position = 0
  readonly #bytes: Buffer
  readonly #message: string
  readonly #code: ErrorCode
  readonly #maxStringBytes: number
  readonly #maxNames: number

  /** @param bytes the message; it is not copied and must not change while views of it are in use */
  constructor(bytes: Uint8Array, options: SshReaderOptions) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#message = options.message
    this.#code = options.code
    this.#maxStringBytes = options.maxStringBytes ?? MAX_STRING_BYTES
    this.#maxNames = options.maxNames ?? MAX_NAMES
  }

  get remaining(): number {
    return this.#bytes.length - this.position
  }

  byte(): number {
    return this.#bytes[this.#step(1)] as number
  }

  /** Any byte but 0 is true. */
  boolean(): boolean {
    return this.byte() !== 0
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#step(4))
  }

  uint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#step(8))
  }

  /** A string's bytes, as a view. */
  string(maxBytes: number = this.#maxStringBytes): Buffer {
    const length = this.uint32()
    if (length > this.remaining) throw this.problem('ends inside of a string')
    if (length > maxBytes) throw this.limit(`has a string of ${length} bytes, more than ${maxBytes}`)
    const start = this.#step(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** A string that has to be UTF-8. A byte order mark and NUL characters stay in it. */
  text(maxBytes: number = this.#maxStringBytes): string {
    const bytes = this.string(maxBytes)
    try {
      return UTF_8.decode(bytes)
    } catch {
      throw this.problem('has a string that is not UTF-8')
    }
  }

  /** A name: a string of printable US-ASCII without spaces and commas (RFC 4251 section 6). */
  name(maxBytes: number = 64): string {
    const bytes = this.string(maxBytes)
    for (const byte of bytes) {
      if (byte <= 0x20 || byte >= 0x7f || byte === 0x2c) throw this.problem('has a name that is not printable US-ASCII')
    }
    return bytes.toString('latin1')
  }

  /**
   * The magnitude of a number that may not be negative, as a view without leading zero bytes; empty for zero. Only the one
   * shortest encoding is taken, so that equal numbers are equal bytes.
   */
  mpint(maxBytes: number = MAX_MPINT_BYTES): Buffer {
    const bytes = this.string(maxBytes)
    const first = bytes[0]
    if (first === undefined) return bytes
    if (first >= 0x80) throw this.problem('has a negative number')
    if (first !== 0) return bytes
    const second = bytes[1]
    if (second === undefined || second < 0x80) throw this.problem('has a number that is not encoded the shortest way')
    return bytes.subarray(1)
  }

  /** Names parted by commas; no names for an empty string. */
  nameList(maxBytes: number = this.#maxStringBytes): string[] {
    const bytes = this.string(maxBytes)
    if (bytes.length === 0) return []
    let count = 1
    for (const byte of bytes) {
      if (byte === 0x2c) count++
      else if (byte <= 0x20 || byte >= 0x7f) throw this.problem('has a name that is not printable US-ASCII')
    }
    if (count > this.#maxNames) throw this.limit(`has a list of ${count} names, more than ${this.#maxNames}`)
    const names = bytes.toString('latin1').split(',')
    if (names.includes('')) throw this.problem('has an empty name in a list')
    return names
  }

  /** `count` bytes without a length, as a view. */
  bytes(count: number): Buffer {
    const start = this.#step(count)
    return this.#bytes.subarray(start, start + count)
  }

  /** What is left, as a view. */
  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** INVARIANT: a decoder that returns has accounted for every byte. */
  finish(): void {
    if (this.remaining !== 0) throw this.problem(`has ${this.remaining} bytes behind its last field`)
  }

  problem(what: string, cause?: unknown): SallyportError {
    return new SallyportError(this.#code, `${this.#message} ${what}`, { cause })
  }

  limit(what: string): SallyportError {
    return new SallyportError('limit_exceeded', `${this.#message} ${what}`, { blame: ERROR_CODES[this.#code] })
  }

  #step(count: number): number {
    const start = this.position
    if (!(count >= 0 && count <= this.#bytes.length - start)) throw this.problem('ends too early')
    this.position = start + count
    return start
  }
}
