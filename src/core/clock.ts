/** Time as an argument: everything below `gateway` is told the time and never asks for it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowUnixMs(): number
}

/** Random bytes as an argument. */
export type RandomBytes = (count: number) => Uint8Array
