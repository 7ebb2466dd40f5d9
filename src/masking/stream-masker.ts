import type { Hmac } from 'node:crypto'
import { ByteWriter, SallyportError, type StreamMasker } from '../core/index.js'
import { CONTEXT_BYTES, MAX_LOOK_BEHIND_BYTES, mayStartMatch, Scanner } from './detectors/index.js'
import type { Replacer } from './replacer.js'

export class DetectingStreamMasker implements StreamMasker {
  readonly #replacer: Replacer
  readonly #scanner: Scanner
  readonly #out = new ByteWriter()
  /** Bytes already passed on, kept for what they say about later ones; then bytes held back. */
  #kept: Buffer = Buffer.alloc(0)
  /** Where in `#kept` the bytes held back start. */
  #emitted = 0
  #isOpen = false
  #hash: Hmac | undefined

  /** @throws SallyportError `invalid_option` when the detectors need more bytes to decide than may be held back */
  constructor(replacer: Replacer, options: { maxHoldBackBytes: number }) {
    this.#replacer = replacer
    this.#scanner = new Scanner(replacer.table)
    const needed = replacer.table.maxUndecidedBytes
    if (!(options.maxHoldBackBytes >= needed)) {
      throw new SallyportError(
        'invalid_option',
        `maxHoldBackBytes must be at least ${needed} for these detectors, got ${options.maxHoldBackBytes}`,
      )
    }
  }

  get heldBackBytes(): number {
    return this.#kept.length - this.#emitted
  }

  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return Buffer.alloc(0)
    const bytes = Buffer.concat([this.#kept, chunk])
    const safe = this.#run(bytes, false)
    const drop = Math.max(0, safe - CONTEXT_BYTES)
    this.#kept = Buffer.from(bytes.subarray(drop))
    this.#emitted = safe - drop
    this.#scanner.shift(drop)
    return this.#out.take()
  }

  flush(): Uint8Array {
    this.#run(this.#kept, true)
    if (this.#isOpen) this.#closeHash()
    this.#kept = Buffer.alloc(0)
    this.#emitted = 0
    this.#scanner.isOpen = this.#isOpen
    this.#scanner.restart()
    return this.#out.take()
  }

  /** Appends what is decided and returns up to where that is. */
  #run(bytes: Buffer, isFinal: boolean): number {
    const scanner = this.#scanner
    const end = bytes.length
    let emitted = this.#emitted
    if (this.#isOpen) emitted = this.#extend(bytes, emitted, end)
    while (!this.#isOpen) {
      const kind = scanner.next(bytes, 0, end, isFinal)
      if (kind < 0) break
      this.#out.append(bytes, emitted, scanner.matchStart)
      if (scanner.isOpen) {
        this.#hash = this.#replacer.beginHash(kind)
        if (this.#hash === undefined) this.#replacer.writeFixed(kind, this.#out)
        emitted = this.#extend(bytes, scanner.matchStart, end)
      } else {
        this.#replacer.write(kind, bytes, scanner.matchStart, scanner.matchEnd, this.#out)
        emitted = scanner.matchEnd
      }
    }
    if (this.#isOpen) return emitted
    let safe = isFinal ? end : scanner.position
    if (!isFinal) {
      const low = Math.max(emitted, safe - MAX_LOOK_BEHIND_BYTES)
      while (safe > low && mayStartMatch(bytes[safe - 1] as number)) safe--
    }
    this.#out.append(bytes, emitted, safe)
    return safe
  }

  #extend(bytes: Buffer, from: number, end: number): number {
    const scanner = this.#scanner
    scanner.extend(bytes, end)
    this.#hash?.update(bytes.subarray(from, scanner.matchEnd))
    this.#isOpen = scanner.isOpen
    if (!this.#isOpen) this.#closeHash()
    return scanner.matchEnd
  }

  #closeHash(): void {
    if (this.#hash === undefined) return
    this.#replacer.writeHash(this.#hash.digest(), this.#out)
    this.#hash = undefined
  }
}
