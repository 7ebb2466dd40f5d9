/**
 * One side's transport as the driver sees it. What the side sends comes the other way, by calls of
 * `receive`, `ended`, `drained` and `closed` on the driver.
 */
export interface Peer {
  /**
   * The bytes may be views of memory that is reused once the driver's `receive` has returned, if that chunk
   * was lent: whoever lends chunks keeps track of writes that did not complete at once.
   *
   * @returns false when the transport is full; `drained` is to be called when it no longer is
   */
  write(bytes: Uint8Array): boolean
  /** Several writes follow in a row. */
  cork(): void
  uncork(): void
  /** Stops and restarts the flow of chunks towards the driver. Idempotent. */
  pause(): void
  resume(): void
  /** Sends what was written, then closes. Nothing is read any more. */
  end(): void
  /** Closes at once. */
  destroy(): void
}
