import type { Obligations, StreamMasker } from '../../core/index.js'
import type { Flow } from './flow.js'
import { STDERR } from './message-types.js'

export interface CommandOutputPort {
  /** Where it goes. The bytes are lent. */
  pass(code: number, bytes: Buffer): void
  /** Masked output, for the record. */
  record(commandId: number, channel: string, bytes: Uint8Array): void
  /** Something is held back: call {@link CommandOutput.flush} after a while. */
  flushLater(): void
  /** The command has said as much as it may. */
  capReached(): void
}

export interface CommandOutputOptions {
  readonly commandId: number
  readonly obligations: Obligations
  /** What is held back counts against its window. */
  readonly flow: Flow
  readonly maxHoldBackBytes: number
  readonly port: CommandOutputPort
}

/** What a permitted command says on its way to the client: masked, counted, recorded, in this order. */
export class CommandOutput {
  readonly #options: CommandOutputOptions
  readonly #stdout: StreamMasker | undefined
  readonly #stderr: StreamMasker | undefined
  readonly #maxBytes: number
  readonly #isRecorded: boolean
  #isFlushAskedFor = false
  #isCapped = false
  bytes = 0

  constructor(options: CommandOutputOptions) {
    const { masker, maxBytes, recordLevel } = options.obligations
    this.#options = options
    const { maxHoldBackBytes } = options
    this.#stdout = masker?.stream?.({ maxHoldBackBytes })
    this.#stderr = masker?.stream?.({ maxHoldBackBytes })
    this.#maxBytes = maxBytes ?? Number.POSITIVE_INFINITY
    this.#isRecorded = recordLevel === 'full'
  }

  write(code: number, bytes: Buffer): void {
    if (this.#isCapped) return
    const masker = code === 0 ? this.#stdout : this.#stderr
    if (masker === undefined) {
      this.#emit(code, bytes)
      return
    }
    this.#emit(code, asBuffer(masker.push(bytes)))
    this.#countHeldBack()
    if (masker.heldBackBytes > 0 && !this.#isFlushAskedFor) {
      this.#isFlushAskedFor = true
      this.#options.port.flushLater()
    }
  }

  /** Bytes that went another way. */
  count(bytes: number): void {
    this.bytes += bytes
  }

  /** Decides on everything held back. */
  flush(): void {
    this.#isFlushAskedFor = false
    if (this.#isCapped) return
    if (this.#stdout !== undefined && this.#stdout.heldBackBytes > 0) this.#emit(0, asBuffer(this.#stdout.flush()))
    if (this.#stderr !== undefined && this.#stderr.heldBackBytes > 0) this.#emit(STDERR, asBuffer(this.#stderr.flush()))
    this.#countHeldBack()
  }

  #countHeldBack(): void {
    const { flow } = this.#options
    flow.heldBackBytes = (this.#stdout?.heldBackBytes ?? 0) + (this.#stderr?.heldBackBytes ?? 0)
  }

  #emit(code: number, bytes: Buffer): void {
    const { commandId, port } = this.#options
    const room = this.#maxBytes - this.bytes
    const isOver = bytes.length > room
    const passed = isOver ? bytes.subarray(0, room) : bytes
    this.bytes += passed.length
    if (this.#isRecorded && passed.length > 0) port.record(commandId, code === 0 ? 'stdout' : 'stderr', passed)
    port.pass(code, passed)
    if (isOver && !this.#isCapped) {
      this.#isCapped = true
      port.capReached()
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
