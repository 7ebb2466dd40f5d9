import type { Hmac } from 'node:crypto'
import { ByteWriter } from '../core/index.js'
import { CONTEXT_BYTES, MAX_LOOK_BEHIND_BYTES, mayStartMatch, Scanner } from './detectors/index.js'
import type { Replacer } from './replacer.js'

/** Bytes that stand in a text without being part of it, such as a colour. */
interface Mark {
  /** Offset in the text. */
  at: number
  /** Where its bytes are kept. */
  readonly from: number
  readonly to: number
  /** So many bytes of the text stand for it, and are never written themselves. */
  readonly standIns: number
  /** It shows characters, as a repetition does: it goes with the value it is in. */
  readonly isText: boolean
}

/**
 * Masks a text with marks in it that comes in pieces. Values are found as if the marks were not there; the marks stay,
 * those inside a value behind what replaces it.
 *
 * What has to leave before it is decided is remembered: when more bytes turn it into a value, the rest of that value is masked.
 */
export class MarkedStream {
  readonly #replacer: Replacer
  readonly #scanner: Scanner
  readonly #settling: Scanner
  readonly #out: ByteWriter
  /** What may matter to what comes next; its first `#emitted` bytes have left. */
  #text: Buffer = Buffer.alloc(0)
  #emitted = 0
  #marks: Mark[] = []
  /** Bytes of all marks, from the last time that there were none. */
  readonly #markStore = new ByteWriter(0)
  #markBytes = 0
  #markAt = 0
  #isOpen = false
  #hash: Hmac | undefined
  /** Offset up to which a value was masked when its text was made to leave, or -1. */
  #maskedTo = -1

  constructor(replacer: Replacer, out: ByteWriter) {
    this.#replacer = replacer
    this.#scanner = new Scanner(replacer.table)
    this.#settling = new Scanner(replacer.table)
    this.#out = out
  }

  get heldBackBytes(): number {
    return this.#text.length - this.#emitted + this.#markBytes
  }

  /** The text that is kept, in which `extend` takes up. */
  get textLength(): number {
    return this.#text.length
  }

  get lastByte(): number | undefined {
    return this.#text.at(-1)
  }

  /**
   * `bytes[start, end)` is a mark. The text that stands for it comes with the next `push`.
   *
   * @param at offset in {@link MarkedStream.textLength} and what the next `push` adds
   */
  mark(at: number, bytes: Uint8Array, start: number, end: number, standIns: number, isText: boolean): void {
    const from = this.#markStore.length
    this.#markStore.appendRun(bytes, start, end)
    this.#marks.push({ at, from, to: this.#markStore.length, standIns, isText })
    this.#markBytes += end - start
  }

  /** Takes more text and writes what is decided by now. */
  push(chunk: Uint8Array): void {
    const text = this.#text.length === 0 ? chunk : Buffer.concat([this.#text, chunk])
    const safe = this.#run(text)
    const drop = Math.max(0, safe - CONTEXT_BYTES)
    this.#text = Buffer.from(text.subarray(drop))
    this.#emitted -= drop
    this.#maskedTo -= drop
    this.#scanner.shift(drop)
    this.#dropMarks(drop)
  }

  /** Lets everything leave that is held back. */
  settle(): void {
    const text = this.#text
    const end = text.length
    if (this.#isOpen) this.#closeHash()
    else this.#maskRest(text, end)
    this.#emit(text, end)
    this.#marksAt(end)
    this.#dropMarks(0)
  }

  /** What is undecided, decided as if it ended here. The scanner stays where it is: it will look at it again. */
  #maskRest(text: Buffer, end: number): void {
    const scanner = this.#settling
    const { position, floor, isAfterMatch } = this.#scanner
    scanner.start(0)
    scanner.position = position
    scanner.floor = floor
    scanner.isAfterMatch = isAfterMatch
    for (let kind = scanner.next(text, 0, end, true); kind >= 0; kind = scanner.next(text, 0, end, true)) {
      if (scanner.isOpen) scanner.extend(text, end)
      this.#replace(kind, text, scanner.matchStart, scanner.matchEnd, scanner.isOpen)
    }
  }

  /** Writes what is decided, and returns up to where that is. */
  #run(text: Uint8Array): number {
    const scanner = this.#scanner
    const end = text.length
    if (this.#isOpen) this.#extend(text, end)
    while (!this.#isOpen) {
      const kind = scanner.next(text, 0, end, false)
      if (kind < 0) break
      if (scanner.isOpen) this.#beginOpen(kind, text, end)
      else this.#replace(kind, text, scanner.matchStart, scanner.matchEnd, false)
    }
    if (this.#isOpen) return this.#emitted
    let safe = scanner.position
    const low = Math.max(0, safe - MAX_LOOK_BEHIND_BYTES)
    while (safe > low && mayStartMatch(text[safe - 1] as number)) safe--
    if (safe > this.#emitted) this.#emit(text, safe)
    if (safe >= this.#emitted) this.#marksAt(this.#emitted)
    return safe
  }

  #beginOpen(kind: number, text: Uint8Array, end: number): void {
    const start = this.#scanner.matchStart
    this.#emit(text, start)
    this.#marksAt(start)
    if (this.#emitted > start) {
      if (this.#maskedTo !== this.#emitted) this.#replacer.writeFixed(kind, this.#out)
    } else {
      this.#hash = this.#replacer.beginHash(kind)
      if (this.#hash === undefined) this.#replacer.writeFixed(kind, this.#out)
      else this.#hash.update(text.subarray(start, this.#scanner.matchEnd))
    }
    this.#pass(this.#scanner.matchEnd)
    this.#extend(text, end)
  }

  #extend(text: Uint8Array, end: number): void {
    const scanner = this.#scanner
    const from = scanner.matchEnd
    scanner.extend(text, end)
    this.#hash?.update(text.subarray(from, scanner.matchEnd))
    this.#pass(scanner.matchEnd)
    this.#isOpen = scanner.isOpen
    if (!this.#isOpen) this.#closeHash()
  }

  #closeHash(): void {
    if (this.#hash === undefined) return
    this.#replacer.writeHash(this.#hash.digest(), this.#out)
    this.#hash = undefined
  }

  #replace(kind: number, text: Uint8Array, start: number, end: number, isOpen: boolean): void {
    if (end <= this.#emitted) return
    this.#emit(text, start)
    this.#marksAt(start)
    if (this.#emitted <= start) {
      const isPartial = this.#replacer.strategy(kind).kind === 'partial'
      if (isOpen && isPartial) this.#replacer.writeFixed(kind, this.#out)
      else this.#replacer.write(kind, text, start, end, this.#out)
    } else if (this.#maskedTo !== this.#emitted) {
      // Its beginning has left: what is left of it tells nothing.
      this.#replacer.writeFixed(kind, this.#out)
    }
    this.#pass(end)
    this.#maskedTo = end
  }

  /** Writes the text up to `to` with its marks. */
  #emit(text: Uint8Array, to: number): void {
    let from = this.#emitted
    if (to <= from) return
    for (; this.#markAt < this.#marks.length; this.#markAt++) {
      const mark = this.#marks[this.#markAt] as Mark
      const markEnd = mark.at + mark.standIns
      if (mark.at >= to || markEnd > to) break
      if (mark.at < from) {
        // A value took its beginning: what the rest stands for is written out.
        this.#out.append(text, from, Math.max(from, markEnd))
        from = Math.max(from, markEnd)
      } else {
        this.#out.appendRun(text, from, mark.at)
        this.#writeMark(mark)
        from = markEnd
      }
      this.#markBytes -= mark.to - mark.from
    }
    this.#out.append(text, from, to)
    this.#emitted = to
  }

  /** Writes marks right before `at`, where no text stands for them. */
  #marksAt(at: number): void {
    for (; this.#markAt < this.#marks.length; this.#markAt++) {
      const mark = this.#marks[this.#markAt] as Mark
      if (mark.at !== at || mark.standIns > 0) break
      this.#writeMark(mark)
      this.#markBytes -= mark.to - mark.from
    }
  }

  /** Leaves text out up to `to`, and writes the marks in it. */
  #pass(to: number): void {
    for (; this.#markAt < this.#marks.length; this.#markAt++) {
      const mark = this.#marks[this.#markAt] as Mark
      if (mark.at >= to || mark.at + mark.standIns > to) break
      if (!mark.isText) this.#writeMark(mark)
      this.#markBytes -= mark.to - mark.from
    }
    this.#emitted = Math.max(this.#emitted, to)
  }

  #writeMark(mark: Mark): void {
    this.#out.append(this.#markStore.bytes, mark.from, mark.to)
  }

  #dropMarks(shift: number): void {
    if (this.#markAt > 0) {
      this.#marks.splice(0, this.#markAt)
      this.#markAt = 0
    }
    if (this.#marks.length === 0) this.#markStore.take()
    for (const mark of this.#marks) mark.at -= shift
  }
}
