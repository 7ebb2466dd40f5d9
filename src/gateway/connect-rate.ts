import type { Clock } from '../core/index.js'

/** Addresses remembered at a time: some 100 bytes each. Beyond it, the window's counts start anew for all. */
const MAX_ADDRESSES = 10_000

/** Counts connects per address and second. */
export class ConnectRate {
  readonly #maxPerSecond: number
  readonly #clock: Clock
  readonly #counts = new Map<string, number>()
  #second = 0

  constructor(maxPerSecond: number, clock: Clock) {
    this.#maxPerSecond = maxPerSecond
    this.#clock = clock
  }

  /** Counts one connect; false when it is one too many. */
  admit(address: string): boolean {
    const second = Math.floor(this.#clock.nowUnixMs() / 1000)
    if (second !== this.#second || this.#counts.size >= MAX_ADDRESSES) {
      this.#second = second
      this.#counts.clear()
    }
    const count = (this.#counts.get(address) ?? 0) + 1
    this.#counts.set(address, count)
    return count <= this.#maxPerSecond
  }
}
