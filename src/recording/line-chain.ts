import { ByteWriter } from '../core/index.js'
import { GENESIS_HASH, LINE_END, LINK_LENGTH, sha256Hex } from './line.js'

const OPENING = Buffer.from('{"seq":')
const HASH_MEMBER = Buffer.from(',"hash":"')
const END = Buffer.from(LINE_END)

/** Room for some twenty commands before the buffer has to grow. */
const FIRST_BYTES = 8_192

/**
 * Lines of one segment, chained as they are written into memory.
 *
 * The buffer begins with the end of the line before (`LINK_LENGTH` bytes that were written out already), so that what a
 * line's hash is made over always stands in one piece.
 */
export class LineChain {
  readonly #out = new ByteWriter(0)
  #sequence = 0
  #hash: string = GENESIS_HASH

  /** Of the last line, written out or not. */
  get hash(): string {
    return this.#hash
  }

  /** Lines so far. */
  get sequence(): number {
    return this.#sequence
  }

  /** What waits in memory. */
  get bytes(): number {
    return Math.max(0, this.#out.length - LINK_LENGTH)
  }

  /** Begins another segment. What waits must have been taken. */
  restart(): void {
    this.#sequence = 0
    this.#hash = GENESIS_HASH
  }

  /** Where the members of the next line go: `"type":` first, ASCII only. Then call {@link LineChain.close}. */
  open(): ByteWriter {
    const out = this.#out
    if (out.length === 0) {
      out.reserve(FIRST_BYTES)
      out.ascii(this.#hash).append(END)
    }
    return out
      .append(OPENING)
      .digits(++this.#sequence)
      .u8(0x2c)
  }

  /** @param start what `out.length` was before {@link LineChain.open}; 0 for an empty buffer */
  close(start: number): void {
    const out = this.#out
    const from = Math.max(0, start - LINK_LENGTH)
    const hash = sha256Hex(out.bytes.subarray(from, out.length))
    this.#hash = hash
    out.append(HASH_MEMBER).ascii(hash).append(END)
  }

  get mark(): number {
    return this.#out.length
  }

  /** A line whose members are at hand as a string. */
  add(members: string): void {
    const start = this.mark
    this.open().ascii(members)
    this.close(start)
  }

  /** The lines that wait, given away. */
  take(): Buffer {
    return this.#out.take().subarray(LINK_LENGTH)
  }
}
