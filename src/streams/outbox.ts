import type { Peer } from './peer.js'

/**
 * Up to here several writes are copied into one: below it a copy is cheaper than a gathering write, which
 * costs an array, a request object and an iovec per piece.
 */
const MAX_COPIED_BYTES = 16_384

/** Collects what one pump writes to one side, so that it leaves in one write. */
export class Outbox {
  readonly #pieces: Uint8Array[] = []
  #bytes = 0

  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#pieces.push(bytes)
    this.#bytes += bytes.length
  }

  /** Forgets what was not flushed. */
  clear(): void {
    this.#pieces.length = 0
    this.#bytes = 0
  }

  /** @returns what the peer's last write returned; true when there was nothing to write */
  flush(peer: Peer): boolean {
    const pieces = this.#pieces
    if (pieces.length === 0) return true
    const first = pieces[0] as Uint8Array
    if (pieces.length === 1) {
      this.clear()
      return peer.write(first)
    }
    if (this.#bytes <= MAX_COPIED_BYTES) {
      const joined = Buffer.allocUnsafe(this.#bytes)
      let at = 0
      for (const piece of pieces) {
        joined.set(piece, at)
        at += piece.length
      }
      this.clear()
      return peer.write(joined)
    }
    const run = pieces.slice()
    this.clear()
    peer.cork()
    let isRoomLeft = true
    for (const piece of run) isRoomLeft = peer.write(piece)
    peer.uncork()
    return isRoomLeft
  }
}
