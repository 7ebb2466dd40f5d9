import type { Side } from '../side.js'
import { ByteWriter } from './writer.js'

/** Below this size a run of forwarded bytes behind own bytes is copied to them rather than written apart. */
const COPY_BELOW_BYTES = 2_048

/** Where write events go: a queue of these and of whatever other events a machine has. */
export interface WriteEvents {
  push(event: { readonly type: 'write'; readonly to: Side; readonly bytes: Uint8Array }): void
}

/**
 * What leaves towards one side, in as few writes as order allows: untouched frames that lie side by side leave as one view
 * of the chunk they came in, and own or rewritten bytes are gathered.
 */
export class Outbox {
  readonly #side: Side
  readonly #events: WriteEvents
  #run: Buffer | undefined
  #runStart = 0
  #runEnd = 0
  readonly #own = new ByteWriter(0)

  constructor(side: Side, events: WriteEvents) {
    this.#side = side
    this.#events = events
  }

  get isEmpty(): boolean {
    return this.#run === undefined && this.#own.length === 0
  }

  /** Lets `source[start, end)` pass as it is. */
  forward(source: Buffer, start: number, end: number): void {
    if (this.#run === source && this.#runEnd === start) {
      this.#runEnd = end
      return
    }
    if (this.#run !== undefined) this.flush()
    if (this.#own.length > 0) {
      if (end - start < COPY_BELOW_BYTES) {
        this.#own.append(source, start, end)
        return
      }
      this.flush()
    }
    this.#run = source
    this.#runStart = start
    this.#runEnd = end
  }

  /** Bytes of our own making; copied. */
  send(bytes: Uint8Array): void {
    this.writer().append(bytes)
  }

  /** For what is encoded in place: rows above all. Valid until the next call of another method. */
  writer(): ByteWriter {
    if (this.#run !== undefined) this.flush()
    return this.#own
  }

  /** Turns what is gathered into `write` events; returns the bytes, if there were any. */
  flush(): Uint8Array | undefined {
    let bytes: Uint8Array | undefined
    if (this.#run !== undefined) {
      const run = this.#run
      bytes = this.#runEnd - this.#runStart === run.length ? run : run.subarray(this.#runStart, this.#runEnd)
      this.#run = undefined
    } else if (this.#own.length > 0) {
      bytes = this.#own.take()
    }
    if (bytes !== undefined) this.#events.push({ type: 'write', to: this.#side, bytes })
    return bytes
  }

  /** Copies an open run out of a chunk that is about to be reused, so that it can be flushed later. */
  keep(): void {
    if (this.#run === undefined) return
    const run = this.#run.subarray(this.#runStart, this.#runEnd)
    this.#run = undefined
    this.#own.append(run)
  }
}
