import { Transform } from 'node:stream'
import type { Schedule, StreamMasker } from '../core/index.js'

export interface TextMaskOptions {
  readonly masker: StreamMasker
  /**
   * What is held back leaves after this long without more input: a prompt must not wait for its next character.
   * Default 50: below what a person notices.
   */
  readonly flushAfterMs?: number
  /** Default: the system's timers. */
  readonly schedule?: Schedule
}

const systemSchedule: Schedule = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs)
  timer.unref()
  return () => clearTimeout(timer)
}

/**
 * Masks a stream of text, such as a terminal's output. What the masker has not decided yet is held back, within
 * the masker's bound.
 *
 * @example
 * pipeline(child.stdout, textMaskTransform({ masker: masking.stream(specs, { maxHoldBackBytes: 4096 }) }), process.stdout)
 */
export function textMaskTransform(options: TextMaskOptions): Transform {
  const { masker, flushAfterMs = 50, schedule = systemSchedule } = options
  let cancel: (() => void) | undefined
  const push = (target: Transform, bytes: Uint8Array): void => {
    if (bytes.length > 0) target.push(bytes)
  }
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      cancel?.()
      cancel = undefined
      push(this, masker.push(chunk))
      if (masker.heldBackBytes > 0) {
        cancel = schedule(flushAfterMs, () => {
          cancel = undefined
          if (!this.destroyed && !this.writableEnded) push(this, masker.flush())
        })
      }
      done()
    },
    flush(done) {
      cancel?.()
      push(this, masker.flush())
      done()
    },
    destroy(error, done) {
      cancel?.()
      done(error)
    },
  })
}

/**
 * Passes bytes on unchanged and shows each chunk to a recorder first. A recorder that throws ends the stream:
 * nothing passes unseen.
 *
 * @param record gets a view; copy to keep
 * @example
 * pipeline(masked, recorderTap((bytes) => session.output(commandId, 'stdout', bytes)), client)
 */
export function recorderTap(record: (bytes: Uint8Array) => void): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      try {
        record(chunk)
      } catch (error) {
        // Fails closed: what is not on record does not leave.
        done(error as Error)
        return
      }
      done(null, chunk)
    },
  })
}
