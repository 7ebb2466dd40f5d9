import { randomFillSync } from 'node:crypto'
import { ChunkDisposal } from './chunk-disposal.js'

/** A turn's worth of packets at full speed, inside the second-level cache. */
export const PACKET_BUFFER_BYTES = 262_144
/** Kept for re-use; more are left to the garbage collector. */
const MAX_FREE_BUFFERS = 8
const PADDING_POOL_BYTES = 8_192

/**
 * Memory for packets on their way in and out, shared by all connections of a gateway. Buffers live outside of the heap: one
 * for every packet has the collector walk the whole heap every few megabytes.
 */
export class PacketBuffers {
  /** What targets send is read into this, and decrypted in place: nothing points into it after the turn of the read. */
  readonly incoming: Buffer = Buffer.allocUnsafeSlow(PACKET_BUFFER_BYTES)
  /** For what clients send. */
  readonly disposal = new ChunkDisposal()
  readonly #free: Buffer[] = []
  readonly #padding = Buffer.allocUnsafeSlow(PADDING_POOL_BYTES)
  #paddingUsed = PADDING_POOL_BYTES

  /** {@link PACKET_BUFFER_BYTES} of it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(PACKET_BUFFER_BYTES)
  }

  /** Nothing points into it any more. */
  giveBack(buffer: Buffer): void {
    if (this.#free.length < MAX_FREE_BUFFERS) this.#free.push(buffer)
  }

  /** Fills with random bytes that nobody has seen. */
  pad(target: Buffer, start: number, end: number): void {
    const padding = this.#padding
    if (this.#paddingUsed + (end - start) > PADDING_POOL_BYTES) {
      randomFillSync(padding)
      this.#paddingUsed = 0
    }
    for (let at = start; at < end; at++) target[at] = padding[this.#paddingUsed++] as number
  }
}
