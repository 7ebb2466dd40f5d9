import type { Clock } from '../core/index.js'

/** A clock that stands still until it is told otherwise. */
export class FakeClock implements Clock {
  #nowUnixMs: number

  constructor(nowUnixMs = 1_700_000_000_000) {
    this.#nowUnixMs = nowUnixMs
  }

  nowUnixMs(): number {
    return this.#nowUnixMs
  }

  advance(byMs: number): void {
    this.#nowUnixMs += byMs
  }
}

/** Bytes that look random and repeat from run to run. */
export function countingBytes(seed = 1): (count: number) => Uint8Array {
  let next = seed
  return (count) => Uint8Array.from({ length: count }, () => (next = (next * 73 + 41) & 0xff))
}
