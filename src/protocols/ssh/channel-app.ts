import type { Side } from '../../core/index.js'

/** Stands in a session channel between the client and what runs on the target, where bytes alone are not enough. */
export interface ChannelApp {
  fromClient(bytes: Buffer): void
  /** Masked, where masks apply. Only stdout. */
  fromTarget(bytes: Buffer): void
  /** The side will send nothing more. */
  ended(side: Side): void
  /** The channel is gone. */
  abandon(): void
  resized?(columns: number): void
  /** Asked for by `escalate`. */
  wake?(): void
}
