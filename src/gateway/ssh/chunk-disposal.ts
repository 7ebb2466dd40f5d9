import { MessageChannel, type MessagePort } from 'node:worker_threads'

/** Smaller ones are cut from a pool, or not worth it. */
const MIN_BYTES = 16_384

/**
 * Frees the memory of what was read from an accepted socket as soon as it is done with. Node reads these into a new 64 KiB
 * each time, outside of the heap; left to the collector, they have it walk the whole heap every few megabytes.
 *
 * Memory that is transferred to a port without another end is gone.
 */
export class ChunkDisposal {
  readonly #nowhere: MessagePort
  readonly #works: boolean

  constructor() {
    const { port1, port2 } = new MessageChannel()
    port2.close()
    port1.unref()
    this.#nowhere = port1
    const probe = Buffer.alloc(MIN_BYTES)
    this.#transfer(probe)
    this.#works = probe.length === 0
  }

  /** @param chunk nothing may point into it any more: every view of it becomes empty */
  dispose(chunk: Buffer): void {
    const { buffer } = chunk
    if (!this.#works || chunk.length < MIN_BYTES || chunk.length !== buffer.byteLength) return
    this.#transfer(chunk)
  }

  #transfer({ buffer }: Buffer): void {
    if (buffer instanceof ArrayBuffer) this.#nowhere.postMessage(null, [buffer])
  }
}
