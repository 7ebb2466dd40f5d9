import type { ChunkReader, Outbox } from '../../core/index.js'

/** Lets one message pass, or drops it, as its bytes come: it need not be there whole. */
export class MessageStream {
  readonly #reader: ChunkReader
  readonly #out: Outbox
  #left = 0
  #isDropped = false

  constructor(reader: ChunkReader, out: Outbox) {
    this.#reader = reader
    this.#out = out
  }

  /** A message is on its way. */
  get isOpen(): boolean {
    return this.#left > 0
  }

  /** Part of a message has left, and the rest must follow it. */
  get isHalfSent(): boolean {
    return this.#left > 0 && !this.#isDropped
  }

  /** The message of this length, header included, stands at the reader. */
  start(frameBytes: number, isDropped: boolean): true {
    this.#left = frameBytes
    this.#isDropped = isDropped
    this.step()
    return true
  }

  /** Moves what is there. Returns whether anything was. */
  step(): boolean {
    const reader = this.#reader
    if (!reader.advance()) return false
    const count = Math.min(this.#left, reader.limit - reader.position)
    if (!this.#isDropped) this.#out.forward(reader.bytes, reader.position, reader.position + count)
    reader.position += count
    this.#left -= count
    return true
  }
}
