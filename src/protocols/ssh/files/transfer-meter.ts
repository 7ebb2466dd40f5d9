import { createHash, type Hash } from 'node:crypto'
import type { FileTransfer, Obligations, StreamMasker, TransferRun } from '../../../core/index.js'
import type { FileChannelEvent } from './events.js'

/** Runs that are listed: a file written front to back has one. */
const MAX_RUNS = 64
/** What a masker of recorded content may keep undecided: that of a terminal's output is less. */
const MAX_HOLD_BACK_BYTES = 65_536

interface Run {
  readonly offset: number
  bytes: number
}

/** Whether values are looked for in streams, which the content of a file is: it cannot be masked, so it must not be read. */
export function masksStreams(obligations: Obligations): boolean {
  return streamMasker(obligations) !== undefined
}

function streamMasker(obligations: Obligations): StreamMasker | undefined {
  return obligations.masker?.stream?.({ maxHoldBackBytes: MAX_HOLD_BACK_BYTES })
}

/** Counts, digests and hands to the record what passes of one file in one direction. */
export class TransferMeter {
  readonly #commandId: number
  readonly #direction: FileTransfer['direction']
  readonly #path: string
  readonly #hash: Hash | undefined
  readonly #isRecorded: boolean
  readonly #masker: StreamMasker | undefined
  readonly #runs: Run[] = []
  #omittedRuns = 0
  #run: Run | undefined
  #bytes = 0
  /** Where the next byte of the run belongs. */
  #offset = -1

  constructor(commandId: number, direction: FileTransfer['direction'], path: string, obligations: Obligations) {
    this.#commandId = commandId
    this.#direction = direction
    this.#path = path
    this.#hash = obligations.recordLevel === 'none' ? undefined : createHash('sha256')
    this.#isRecorded = obligations.recordLevel === 'full'
    this.#masker = this.#isRecorded ? streamMasker(obligations) : undefined
  }

  /** The bytes that follow belong at this offset of the file. */
  begin(offset: number): void {
    if (offset === this.#offset) return
    this.#offset = offset
    this.#run = { offset, bytes: 0 }
    if (this.#runs.length < MAX_RUNS) this.#runs.push(this.#run)
    else this.#omittedRuns++
  }

  /** @returns the event that puts it on record, if it is to be */
  push(bytes: Uint8Array): FileChannelEvent | undefined {
    const offset = this.#offset
    this.#hash?.update(bytes)
    this.#bytes += bytes.length
    this.#offset += bytes.length
    if (this.#run !== undefined) this.#run.bytes += bytes.length
    if (!this.#isRecorded) return undefined
    return this.#content(offset, this.#masker === undefined ? bytes : this.#masker.push(bytes))
  }

  /** What is left for the record, and the sum of it all. */
  finish(): FileChannelEvent[] {
    const events: FileChannelEvent[] = []
    const rest = this.#masker === undefined ? undefined : this.#content(this.#offset, this.#masker.flush())
    if (rest !== undefined) events.push(rest)
    const runs: readonly TransferRun[] = this.#runs.filter((run) => run.bytes > 0)
    const transfer: FileTransfer = {
      direction: this.#direction,
      path: this.#path,
      bytes: this.#bytes,
      ...(this.#hash === undefined ? {} : { sha256: this.#hash.digest('hex') }),
      runs,
      omittedRuns: this.#omittedRuns,
    }
    events.push({ type: 'transfer', commandId: this.#commandId, transfer })
    return events
  }

  #content(offset: number, bytes: Uint8Array): FileChannelEvent | undefined {
    if (bytes.length === 0) return undefined
    return { type: 'content', commandId: this.#commandId, content: { direction: this.#direction, offset, bytes } }
  }
}
