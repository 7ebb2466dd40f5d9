/** Time as an argument: everything below `gateway` is told the time and never asks for it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowUnixMs(): number
}

/** Random bytes as an argument. */
export type RandomBytes = (count: number) => Uint8Array

/**
 * A timer as an argument: calls back once, no sooner than after `delayMs`. The returned function cancels
 * it and may be called at any time, also after it fired.
 */
export type Schedule = (delayMs: number, callback: () => void) => () => void
