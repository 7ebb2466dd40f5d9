const NO_BYTES = Buffer.alloc(0)

/**
 * Joins chunks into a contiguous window for a frame parser, in time linear in the bytes: a frame that spans
 * many chunks is joined once, when all of it is there.
 *
 * The parser reads `bytes[position, limit)` after {@link ChunkReader.fill} said that enough is there, and moves `position`.
 */
export class ChunkReader {
  bytes: Buffer = NO_BYTES
  position = 0
  limit = 0
  #isLent = false
  #waiting: Buffer[] = []
  #waitingBytes = 0

  /** Bytes not yet consumed. */
  get available(): number {
    return this.limit - this.position + this.#waitingBytes
  }

  /** What stands here is one chunk, of which nothing was consumed. */
  get isOneChunk(): boolean {
    return this.position === 0 && this.#waitingBytes === 0 && this.limit === this.bytes.length
  }

  /** Consumes the window and gives it away. Only where {@link ChunkReader.isOneChunk}. */
  takeChunk(): Buffer {
    const chunk = this.bytes
    this.bytes = NO_BYTES
    this.position = 0
    this.limit = 0
    this.#isLent = false
    return chunk
  }

  /** @param isLent the chunk's memory is reused by the caller after {@link ChunkReader.settle} */
  push(chunk: Uint8Array, isLent: boolean): void {
    if (chunk.length === 0) return
    const buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (this.position === this.limit && this.#waitingBytes === 0) {
      this.bytes = buffer
      this.position = 0
      this.limit = buffer.length
      this.#isLent = isLent
      return
    }
    this.#waiting.push(isLent ? Buffer.from(buffer) : buffer)
    this.#waitingBytes += buffer.length
  }

  /** Whether `count` bytes stand contiguous at `position`; joins chunks for that only when enough are there. */
  fill(count: number): boolean {
    if (this.limit - this.position >= count) return true
    if (this.#waitingBytes === 0 || this.available < count) return false
    this.#join()
    return true
  }

  /** The bytes `[start, end)` to keep: a view, or a copy where the memory is lent. */
  keep(start: number, end: number): Buffer {
    const view = this.bytes.subarray(start, end)
    return this.#isLent ? Buffer.from(view) : view
  }

  /** Moves on to the next waiting chunk once the window is used up, without joining. */
  advance(): boolean {
    if (this.position < this.limit) return true
    const next = this.#waiting.shift()
    if (next === undefined) return false
    this.#waitingBytes -= next.length
    this.bytes = next
    this.position = 0
    this.limit = next.length
    this.#isLent = false
    return true
  }

  /** Call when parsing pauses: what is left over is copied out of lent or large chunks, and a used-up chunk is let go. */
  settle(): void {
    const left = this.limit - this.position
    if (left === 0) {
      if (this.#waitingBytes > 0) return
      this.bytes = NO_BYTES
      this.position = 0
      this.limit = 0
    } else if (this.#isLent || left * 2 < this.bytes.length) {
      this.bytes = Buffer.from(this.bytes.subarray(this.position, this.limit))
      this.position = 0
      this.limit = left
    }
    this.#isLent = false
  }

  clear(): void {
    this.bytes = NO_BYTES
    this.position = 0
    this.limit = 0
    this.#waiting = []
    this.#waitingBytes = 0
    this.#isLent = false
  }

  #join(): void {
    const window = this.bytes.subarray(this.position, this.limit)
    this.bytes = Buffer.concat([window, ...this.#waiting])
    this.position = 0
    this.limit = this.bytes.length
    this.#waiting = []
    this.#waitingBytes = 0
    this.#isLent = false
  }
}
