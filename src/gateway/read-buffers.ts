/** Big enough for any single answer of an interactive session; one exists per gateway. */
const SHARED_BYTES = 65_536

/** A bulk read takes this much at a time: fewer calls per byte, still inside the second-level cache. */
const BULK_BYTES = 262_144

/** From this size on a chunk is taken for part of a bulk answer. PostgreSQL sends rows in 8 KiB pieces. */
export const BULK_THRESHOLD_BYTES = 8_192

/** Beyond this a native copy is faster than one word after the other. */
const MAX_WORD_COPIED_BYTES = 256

const SLAB_BYTES = 65_536

/** Kept for re-use; more are left to the garbage collector. */
const MAX_FREE_BUFFERS = 8

/**
 * The memory that upstream sockets read into.
 *
 * A socket's `onread.buffer` function names the memory of the next read when the read before has been
 * delivered, that is, possibly hours before it happens. So an idle socket points at the one `shared` buffer,
 * which costs it nothing. This is safe because the operating system fills it and the callback gets it within
 * one turn, and because the callback copies what it got: nothing ever points into the shared buffer after it.
 *
 * A socket whose last read was large and whose session has a command running borrows a buffer of its own
 * instead, and lends its content without copying. It gives it back as soon as the session is idle.
 */
export class ReadBuffers {
  readonly shared: Uint8Array = Buffer.allocUnsafeSlow(SHARED_BYTES)
  readonly #sharedWords = new DataView(this.shared.buffer, this.shared.byteOffset, SHARED_BYTES)
  readonly #free: Uint8Array[] = []
  /** Small answers are cut from one piece of memory after the other. */
  #slab: Buffer = Buffer.alloc(0)
  #slabWords = new DataView(this.#slab.buffer, this.#slab.byteOffset, 0)
  #slabUsed = SLAB_BYTES

  /** The first `count` bytes of the shared buffer. */
  copy(count: number): Uint8Array {
    if (count > MAX_WORD_COPIED_BYTES) {
      const copy = Buffer.allocUnsafe(count)
      copy.set(this.shared.subarray(0, count))
      return copy
    }
    if (this.#slabUsed + count + 4 > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#slabWords = new DataView(this.#slab.buffer)
      this.#slabUsed = 0
    }
    const start = this.#slabUsed
    const from = this.#sharedWords
    const to = this.#slabWords
    // Whole words, the last one over the end: a native copy makes a view first, which costs more than these few.
    for (let at = 0; at < count; at += 4) to.setUint32(start + at, from.getUint32(at, true), true)
    this.#slabUsed = (start + count + 3) & ~3
    return this.#slab.subarray(start, start + count)
  }

  borrow(): Uint8Array {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BULK_BYTES)
  }

  /** The buffer may be handed to another socket at once: nothing points into it any more. */
  giveBack(buffer: Uint8Array): void {
    if (this.#free.length < MAX_FREE_BUFFERS) this.#free.push(buffer)
  }
}
