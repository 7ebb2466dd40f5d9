import { randomBytes } from 'node:crypto'
import type { Clock, RandomBytes, Schedule } from '../core/index.js'

/** The time, timers and randomness of this machine: what everything below this layer is handed. */
export interface System {
  readonly clock: Clock
  readonly schedule: Schedule
  readonly randomBytes: RandomBytes
}

/**
 * Timers keep the process alive until they have fired or were cancelled.
 *
 * @example
 * createEnforcer({ ...system, policy, analyzers })
 */
export const system: System = {
  clock: { nowUnixMs: () => Date.now() },
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
  randomBytes: (count) => randomBytes(count),
}
