import { isUtf8 } from 'node:buffer'
import type { FileContent, FileTransfer, TerminalSize } from '../core/index.js'
import type { RecordingEvent } from '../recording/index.js'
import type { CommandDescriber } from './recorded-command.js'

/** Typed bytes gather until their line ends, or until they are so many: what a line discipline takes as one line. */
const MAX_INPUT_LINE_BYTES = 4_096

/** What a {@link StreamRecord} needs of its session. */
export interface StreamRecordHost {
  readonly recordsInput: boolean
  nowUnixMs(): number
  describer(): CommandDescriber
  append(event: RecordingEvent): void
}

interface Typed {
  chunks: Buffer[]
  bytes: number
  isHidden: boolean
}

/**
 * Puts on record what happens in a command's streams besides its output.
 *
 * Typed text gathers by lines: a value or a secret that comes key by key could not be found otherwise. What is typed while the
 * target does not echo is a password as a rule: neither it nor its length is recorded.
 */
export class StreamRecord {
  readonly #host: StreamRecordHost
  readonly #typed = new Map<number, Typed>()

  constructor(host: StreamRecordHost) {
    this.#host = host
  }

  resized(commandId: number, { columns, rows }: TerminalSize): void {
    this.#host.append({ type: 'resize', atUnixMs: this.#host.nowUnixMs(), commandId, columns, rows })
  }

  detected(commandId: number, text: string): void {
    const shown = this.#host.describer().text(text)
    this.#host.append({ type: 'detected', atUnixMs: this.#host.nowUnixMs(), commandId, text: shown })
  }

  transferred(commandId: number, transfer: FileTransfer): void {
    const path = this.#host.describer().text(transfer.path)
    this.#host.append({ type: 'transfer', atUnixMs: this.#host.nowUnixMs(), commandId, ...transfer, path })
  }

  fileContent(commandId: number, content: FileContent): void {
    this.#host.append({ type: 'content', atUnixMs: this.#host.nowUnixMs(), commandId, ...content })
  }

  input(commandId: number, bytes: Uint8Array, isEchoed: boolean): void {
    if (!this.#host.recordsInput || bytes.length === 0) return
    let typed = this.#typed.get(commandId)
    if (typed === undefined) this.#typed.set(commandId, (typed = { chunks: [], bytes: 0, isHidden: false }))
    if (!isEchoed) {
      if (typed.isHidden) return
      this.#write(commandId, typed)
      typed.isHidden = true
      this.#host.append({ type: 'input', atUnixMs: this.#host.nowUnixMs(), commandId, isHidden: true })
      return
    }
    typed.isHidden = false
    const copy = Buffer.from(bytes)
    const end = Math.max(copy.lastIndexOf(0x0d), copy.lastIndexOf(0x0a)) + 1 // CR, LF
    this.#gather(commandId, typed, copy.subarray(0, end))
    if (end > 0) this.#write(commandId, typed)
    this.#gather(commandId, typed, copy.subarray(end))
  }

  /** The command is over: what has gathered is not followed by a line's end any more. */
  ended(commandId: number): void {
    const typed = this.#typed.get(commandId)
    if (typed === undefined) return
    this.#write(commandId, typed)
    this.#typed.delete(commandId)
  }

  endAll(): void {
    for (const commandId of [...this.#typed.keys()]) this.ended(commandId)
  }

  #gather(commandId: number, typed: Typed, bytes: Buffer): void {
    for (let start = 0; start < bytes.length; ) {
      const piece = bytes.subarray(start, start + MAX_INPUT_LINE_BYTES - typed.bytes)
      typed.chunks.push(piece)
      typed.bytes += piece.length
      start += piece.length
      if (typed.bytes >= MAX_INPUT_LINE_BYTES) this.#write(commandId, typed)
    }
  }

  #write(commandId: number, typed: Typed): void {
    if (typed.bytes === 0) return
    const bytes = this.#masked(Buffer.concat(typed.chunks, typed.bytes))
    typed.chunks = []
    typed.bytes = 0
    this.#host.append({ type: 'input', atUnixMs: this.#host.nowUnixMs(), commandId, bytes })
  }

  #masked(bytes: Buffer): Buffer {
    const describer = this.#host.describer()
    const text = bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
    const shown = describer.text(text)
    if (shown === text) return bytes
    // Where it is not UTF-8 there is no telling which of the bytes the masked text stood for.
    return Buffer.from(isUtf8(bytes) ? shown : `[masked, ${bytes.length} bytes]`)
  }
}
