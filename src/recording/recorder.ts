import { SallyportError, type Clock, type Schedule } from '../core/index.js'
import { EventEncoder } from './event-json.js'
import { Session, type SessionSurroundings } from './session-recorder.js'
import type { RecordStore } from './store.js'
import type { CommandAnswer } from '../core/index.js'
import type { CommandEvent, RecordingEvent, RecordingHeader } from './types.js'

/**
 * `durable`: the session waits for `flushed` before a command is forwarded, so no forwarded command is lost, not even in a power cut.
 * `batch`: commands go ahead; what was recorded in the last `batchMs` may be lost in a crash.
 */
export type Durability = 'durable' | 'batch'

export interface RecorderOptions {
  readonly store: RecordStore
  /** Default `durable`. What each session is told to wait for; `flushed` itself always waits for the disk. */
  readonly durability?: Durability
  readonly clock: Clock
  readonly schedule: Schedule
  /** Written at the latest this long after it was appended. Default 50: a person watching sees it at once, and 20 writes a second cost nothing. */
  readonly batchMs?: number
  /** Written at once when this much has gathered. Default 64 KiB: about 130 statements, one write, a fifth of a millisecond to hash. */
  readonly batchBytes?: number
  /** A segment is closed and the next begun beyond this. Default 256 MiB: what common tools still open. */
  readonly maxSegmentBytes?: number
  /** The same by age, noticed at the next write. Default 24 hours: archives usually move by the day. */
  readonly maxSegmentMs?: number
  /** What may wait for a slow store, per session. More is a failure of the recorder. Default 8 MiB: a second of a slow disk under full output. */
  readonly maxPendingBytes?: number
  /** Commits texts that had secrets taken out, see `commitmentKeyOf`. Undefined: nothing is committed. */
  readonly commitmentKey?: Uint8Array
}

/** Records sessions. One per gateway. */
export interface Recorder {
  readonly durability: Durability
  /** Begins a session's recording; the first segment is created at once. A session id can be used once. */
  open(header: RecordingHeader): SessionRecorder
}

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

/** @throws SallyportError `invalid_option` */
export function createRecorder(options: RecorderOptions): Recorder {
  const limits = {
    batchBytes: positive('batchBytes', options.batchBytes ?? 65_536),
    maxSegmentBytes: positive('maxSegmentBytes', options.maxSegmentBytes ?? 268_435_456),
    maxSegmentMs: positive('maxSegmentMs', options.maxSegmentMs ?? 86_400_000),
    maxPendingBytes: positive('maxPendingBytes', options.maxPendingBytes ?? 8_388_608),
  }
  const batchMs = positive('batchMs', options.batchMs ?? 50)
  const durability = options.durability ?? 'durable'
  let waiting: Session[] = []

  const surroundings: SessionSurroundings = {
    store: options.store,
    clock: options.clock,
    durability,
    encoder: new EventEncoder(),
    commitmentKey: options.commitmentKey,
    ...limits,
    // One timer for all sessions, and none while nothing waits.
    flushLater: (session) => {
      waiting.push(session)
      if (waiting.length > 1) return
      options.schedule(batchMs, () => {
        const due = waiting
        waiting = []
        for (const each of due) each.flushNow()
      })
    },
  }
  return { durability, open: (header) => new Session(header, surroundings) }
}

function positive(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new SallyportError('invalid_option', `expected \`${name}\` to be a positive whole number, got \`${value}\``)
}
