import { SallyportError, type Clock, type Schedule } from '../core/index.js'
import { EventEncoder } from './event-json.js'
import { Session, type SessionSurroundings } from './session.js'
import type { RecordStore } from './store.js'
import type { Durability, SessionRecorder } from './session-recorder.js'
import type { RecordingHeader } from './types.js'

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
