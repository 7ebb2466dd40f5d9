import type { CommandAnswer, SallyportError } from '../core/index.js'
import type { CommandEvent, RecordingEvent } from './types.js'

/**
 * `durable`: the session waits for `flushed` before a command is forwarded, so no forwarded command is lost, not even in a power cut.
 * `batch`: commands go ahead; what was recorded in the last `batchMs` may be lost in a crash.
 */
export type Durability = 'durable' | 'batch'

/**
 * One session's recording. Appending is synchronous and cheap; events must not be changed afterwards.
 *
 * When anything cannot be written the recording has failed for good: `failure` is set, listeners are told,
 * `flushed` and `close` reject, and nothing more is written.
 */
export interface SessionRecorder {
  readonly sessionId: string
  readonly durability: Durability
  command(event: CommandEvent): void
  /** How a command ended. Joins the command's line if that still waits to be written. */
  answer(commandId: number, answer: CommandAnswer, atUnixMs: number): void
  /** Any event. @throws SallyportError `misuse` after `close` */
  append(event: RecordingEvent): void
  /** Resolves when everything appended so far survives a power cut. @throws SallyportError `recorder_unavailable` */
  flushed(): Promise<void>
  /** Writes the end marker and resolves when it is safe. Idempotent. @throws SallyportError `recorder_unavailable` */
  close(reason: string): Promise<void>
  readonly failure: SallyportError | undefined
  /** Calls back once, at once if it has failed already. */
  onFailure(listener: (failure: SallyportError) => void): void
  /** About how much waits to be written. Sessions that record output may pause reading by it. */
  readonly pendingBytes: number
  /** The hash of the last line written: commits everything before it. */
  readonly head: string
}
