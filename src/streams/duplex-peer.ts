import { Duplex } from 'node:stream'
import type { Side } from '../core/index.js'
import type { Driver } from './driver.js'
import type { Peer } from './peer.js'

type Callback = (error?: Error | null) => void

/**
 * One face of a guard: what is written to it is what that side sent, what is read from it is what goes to
 * that side. Its methods for Node's stream machinery and those for the driver meet here and nowhere else.
 */
export class DuplexPeer extends Duplex {
  readonly #side: Side
  #driver: Driver | undefined
  #pending: Callback | undefined
  #early: Uint8Array | undefined
  #isHeld = false
  #isFull = false
  #isOver = false

  constructor(side: Side) {
    // When we have said our last word the transport is to be closed, not left half open.
    super({ allowHalfOpen: false })
    this.#side = side
  }

  /** Written chunks go to the driver from here on. */
  bind(driver: Driver): void {
    this.#driver = driver
    const early = this.#early
    this.#early = undefined
    if (early === undefined) return
    const callback = this.#pending
    this.#pending = undefined
    this._write(early, 'buffer', callback ?? (() => {}))
  }

  /** What the driver asks of this side. */
  readonly peer: Peer = {
    write: (bytes) => {
      if (this.#isOver) return true
      const isRoomLeft = this.push(bytes)
      this.#isFull = !isRoomLeft
      return isRoomLeft
    },
    cork: () => {},
    uncork: () => {},
    pause: () => {
      this.#isHeld = true
    },
    resume: () => {
      this.#isHeld = false
      this.#goOn()
    },
    end: () => {
      if (this.#isOver) return
      this.#isOver = true
      this.push(null)
      this.#isHeld = false
      this.#goOn()
    },
    destroy: () => {
      this.#isOver = true
      this.destroy()
    },
  }

  #goOn(): void {
    const callback = this.#pending
    this.#pending = undefined
    callback?.()
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: Callback): void {
    if (this.#isOver) return callback()
    if (this.#driver === undefined) {
      this.#early = chunk
      this.#pending = callback
      return
    }
    this.#driver.receive(this.#side, chunk)
    if (this.#isHeld) this.#pending = callback
    else callback()
  }

  override _read(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#driver?.drained(this.#side)
  }

  override _final(callback: Callback): void {
    this.#driver?.ended(this.#side)
    callback()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#isOver = true
    this.#driver?.closed(this.#side, error ?? undefined)
    callback(error)
  }
}
