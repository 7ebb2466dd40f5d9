import { type ErrorCode, SallyportError } from '../../core/index.js'
import { decodeName } from './names.js'

const NO_FORMATS: readonly number[] = Object.freeze([])

/**
 * Walks over one message body, checking every step against its end. Offsets are into the buffer, nothing is copied.
 * Every problem is a SallyportError of the code given, naming the message and never its content.
 */
export class BodyReader {
  position: number
  readonly #buffer: Buffer
  readonly #end: number
  readonly #message: string
  readonly #code: ErrorCode

  constructor(buffer: Buffer, start: number, end: number, message: string, code: ErrorCode) {
    if (!(start >= 0 && start <= end && end <= buffer.length)) {
      throw new SallyportError('internal', `body of ${message} lies outside of its buffer`)
    }
    this.#buffer = buffer
    this.position = start
    this.#end = end
    this.#message = message
    this.#code = code
  }

  get remaining(): number {
    return this.#end - this.position
  }

  u8(): number {
    return this.#buffer[this.#step(1)] as number
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#step(2))
  }

  i16(): number {
    return this.#buffer.readInt16BE(this.#step(2))
  }

  i32(): number {
    return this.#buffer.readInt32BE(this.#step(4))
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#step(4))
  }

  /** A view. */
  bytes(count: number): Buffer {
    const start = this.#step(count)
    return this.#buffer.subarray(start, start + count)
  }

  /** What is left, as a view. */
  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** Passes over a terminated string and returns the offset of its NUL. */
  skipString(): number {
    const nul = this.#buffer.indexOf(0, this.position)
    if (nul < 0 || nul >= this.#end) throw this.problem('lacks the terminator of a string')
    this.position = nul + 1
    return nul
  }

  /** A terminated string, lossless: see {@link decodeName}. */
  string(): string {
    const start = this.position
    return decodeName(this.#buffer, start, this.skipString())
  }

  /** Text formats are 0, binary ones 1. */
  format(): number {
    const code = this.u16()
    if (code > 1) throw this.problem(`has the unknown format code ${code}`)
    return code
  }

  /** Int16 count, then as many format codes. */
  formats(): readonly number[] {
    const count = this.u16()
    if (count * 2 > this.remaining) throw this.problem(`is too short for ${count} format codes`)
    if (count === 0) return NO_FORMATS
    const formats: number[] = []
    for (let i = 0; i < count; i++) formats.push(this.format())
    return formats
  }

  /** INVARIANT: a decoder that returns has accounted for every byte of the body. */
  finish(): void {
    if (this.position !== this.#end) throw this.problem(`has ${this.remaining} bytes behind its last field`)
  }

  problem(what: string): SallyportError {
    return new SallyportError(this.#code, `${this.#message} ${what}`)
  }

  #step(count: number): number {
    const start = this.position
    if (count < 0 || count > this.#end - start) throw this.problem('ends too early')
    this.position = start + count
    return start
  }
}
