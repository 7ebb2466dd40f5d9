import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Driver } from '../streams/driver.js'
import { BULK_THRESHOLD_BYTES, type ReadBuffers } from './read-buffers.js'

/**
 * Reads one upstream socket into borrowed memory; see {@link ReadBuffers}.
 *
 * INVARIANT: a bulk buffer is read into again only when no write of a view of it is outstanding. Where the
 * client's transport did not take everything at once, the reader turns to another buffer and parks the one in
 * use until the transport is empty; a third is left to the garbage collector, which frees it when its write is done.
 */
export class UpstreamReader {
  readonly #driver: Driver
  readonly #buffers: ReadBuffers
  readonly #downstream: () => Duplex
  readonly #canLend: () => boolean
  #own: Uint8Array | undefined
  #parked: Uint8Array | undefined
  #lastReadBytes = 0

  /**
   * @param downstream the client's transport as it is now
   * @param canLend false where the client's transport always finishes its writes later (TLS)
   */
  constructor(driver: Driver, buffers: ReadBuffers, downstream: () => Duplex, canLend: () => boolean) {
    this.#driver = driver
    this.#buffers = buffers
    this.#downstream = downstream
    this.#canLend = canLend
  }

  /** For `net.connect`. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#next() as Uint8Array<ArrayBuffer>,
    callback: (bytes, buffer) => {
      this.#read(bytes, buffer)
      // Pausing is the driver's business, by `pause()`.
      return true
    },
  }

  #next(): Uint8Array {
    if (this.#lastReadBytes >= BULK_THRESHOLD_BYTES && !this.#driver.isIdle && this.#canLend()) {
      this.#own ??= this.#buffers.borrow()
      return this.#own
    }
    this.release()
    return this.#buffers.shared
  }

  #read(bytes: number, buffer: Uint8Array): void {
    this.#lastReadBytes = bytes
    if (buffer !== this.#own) {
      this.#driver.receive('upstream', this.#buffers.copy(bytes))
      return
    }
    if (this.#parked !== undefined && this.#downstream().writableLength === 0) {
      this.#buffers.giveBack(this.#parked)
      this.#parked = undefined
    }
    this.#driver.receive('upstream', buffer.subarray(0, bytes), true)
    if (this.#downstream().writableLength > 0) {
      this.#parked ??= this.#own
      this.#own = undefined
    }
  }

  /** Gives back what is borrowed. */
  release(): void {
    this.#parked = undefined
    if (this.#own === undefined) return
    this.#buffers.giveBack(this.#own)
    this.#own = undefined
  }
}
