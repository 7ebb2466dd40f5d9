import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Driver } from '../streams/driver.js'
import { BULK_THRESHOLD_BYTES, type ReadBuffers } from './read-buffers.js'

/** More than one only where a client's transport takes a part and then waits again. */
const MAX_PARKED = 3

/**
 * Reads one upstream socket into borrowed memory; see {@link ReadBuffers}.
 *
 * INVARIANT: a bulk buffer is read into again only when no write of a view of it is outstanding. Where the
 * client's transport did not take everything at once, the reader turns to another buffer and parks the one in
 * use until the transport is empty. Nothing is read meanwhile as a rule, so few are parked; more are left to the garbage
 * collector, which frees each when its write is done.
 */
export class UpstreamReader {
  readonly #driver: Driver
  readonly #buffers: ReadBuffers
  readonly #downstream: () => Duplex
  readonly #canLend: () => boolean
  #own: Uint8Array | undefined
  readonly #parked: Uint8Array[] = []
  #waitsForDrain = false
  readonly #onDrain = (): void => {
    this.#waitsForDrain = false
    this.#unpark()
  }
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
    this.#giveBackOwn()
    // Nobody will say when a small rest has left: an idle session holds no memory for it.
    if (!this.#waitsForDrain) this.#parked.length = 0
    return this.#buffers.shared
  }

  #read(bytes: number, buffer: Uint8Array): void {
    this.#lastReadBytes = bytes
    if (buffer !== this.#own) {
      this.#driver.receive('upstream', this.#buffers.copy(bytes))
      return
    }
    if (this.#parked.length > 0) this.#unpark()
    this.#driver.receive('upstream', buffer.subarray(0, bytes), true)
    if (this.#downstream().writableLength > 0) this.#park()
  }

  #park(): void {
    if (this.#own !== undefined && this.#parked.length < MAX_PARKED) this.#parked.push(this.#own)
    this.#own = undefined
    const downstream = this.#downstream()
    if (this.#waitsForDrain || !downstream.writableNeedDrain) return
    this.#waitsForDrain = true
    downstream.once('drain', this.#onDrain)
  }

  #unpark(): void {
    if (this.#downstream().writableLength > 0) return
    for (const buffer of this.#parked) this.#buffers.giveBack(buffer)
    this.#parked.length = 0
  }

  #giveBackOwn(): void {
    if (this.#own === undefined) return
    this.#buffers.giveBack(this.#own)
    this.#own = undefined
  }

  /** Lets go of what is borrowed: the connection is over. */
  release(): void {
    this.#giveBackOwn()
    this.#parked.length = 0
  }
}
