import {
  ByteWriter,
  hasNoSequences,
  SallyportError,
  type StreamMasker,
  TERMINAL_PART,
  TerminalParser,
} from '../core/index.js'
import { MarkedStream } from './marked-stream.js'
import type { Replacer } from './replacer.js'

/** Longest sequence that the parser takes for one. */
const MAX_SEQUENCE_BYTES = 260
/** `ESC [ 38 ; 2 ; 255 ; 255 ; 255 ; 1 m` is as long as colours get. */
const MAX_COLOUR_BYTES = 24
const MAX_COLOUR_DIGITS = 3
/** A repetition longer than this is no part of a value. */
const MAX_REPEATED = 64

/** Controls after which text stands elsewhere: `A`, `B`, `D`-`H`, `J`, `L`, `M`, `P`, `S`, `T`, `@`, `d`, `f`, `r`, `s`, `u`. */
const MOVES = new Set(Buffer.from('ABDEFGHJLMPST@dfrsu', 'latin1'))
/** IND, NEL, RI, DECRC, RIS. */
const ESCAPE_MOVES = new Set(Buffer.from('DEM8c', 'latin1'))
const NEW_LINE = Buffer.from('\n')
const BLANK = Buffer.from(' ')
const NO_BYTES = Buffer.alloc(0)

/**
 * Finds values in a terminal's output as a person would read it: split over packets, inside characters, with colours,
 * modes, titles and the like between their characters. A cursor moved to the right is a blank, a cursor moved
 * elsewhere ends a line. The content of control strings (titles, clipboard, links) is masked as a text of its own.
 */
export class TerminalStreamMasker implements StreamMasker {
  readonly #replacer: Replacer
  readonly #maxHoldBackBytes: number
  readonly #parser = new TerminalParser()
  readonly #out = new ByteWriter()
  readonly #text: MarkedStream
  /** Text of the chunk at hand, behind what `#text` keeps. */
  readonly #fresh = new ByteWriter(0)
  /** Bytes of a sequence whose end has not come. */
  readonly #sequence = new ByteWriter(0)
  #payload: MarkedStream | undefined
  readonly #payloadOut = new ByteWriter(0)
  /** A byte that cannot be told without the next. */
  #partial: Uint8Array = NO_BYTES

  /** @throws SallyportError `invalid_option` when the detectors need more bytes to decide than may be held back */
  constructor(replacer: Replacer, options: { readonly maxHoldBackBytes?: number } = {}) {
    this.#replacer = replacer
    this.#maxHoldBackBytes = options.maxHoldBackBytes ?? 4_096
    const needed = 2 * replacer.table.maxUndecidedBytes + MAX_SEQUENCE_BYTES
    if (!(this.#maxHoldBackBytes >= needed)) {
      throw new SallyportError(
        'invalid_option',
        `maxHoldBackBytes must be at least ${needed} for these detectors, got ${this.#maxHoldBackBytes}`,
      )
    }
    this.#text = new MarkedStream(replacer, this.#out)
  }

  get heldBackBytes(): number {
    return this.#text.heldBackBytes + this.#sequence.length + this.#partial.length + (this.#payload?.heldBackBytes ?? 0)
  }

  push(chunk: Uint8Array): Uint8Array {
    const bytes = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk])
    this.#partial = NO_BYTES
    // The rest of a character that was cut.
    const head = this.#parser.isInSequence || this.#parser.isGround ? 0 : continuationLength(bytes)
    if (head > 0) this.#parse(bytes, 0, head, false)
    const plainEnd = this.#parser.isInSequence ? head : plainLength(bytes, head)
    if (plainEnd > head) this.#parser.reset()
    if (plainEnd > head) this.#text.push(plainEnd - head === bytes.length ? bytes : bytes.subarray(head, plainEnd))
    if (plainEnd < bytes.length) this.#parse(bytes, plainEnd, bytes.length, false)
    // Bounded, even where controls outnumber text by far: then a value may be cut, and is masked from there on.
    if (this.heldBackBytes > this.#maxHoldBackBytes) this.#settle()
    return this.#out.take()
  }

  flush(): Uint8Array {
    if (this.#partial.length > 0) {
      const bytes = this.#partial
      this.#partial = NO_BYTES
      this.#parse(bytes, 0, bytes.length, true)
    }
    this.#settle()
    return this.#out.take()
  }

  #settle(): void {
    if (this.#payload !== undefined) {
      this.#payload.settle()
      this.#markPayload()
    }
    if (this.#sequence.length > 0) this.#markAll(this.#sequence.take())
    this.#text.push(NO_BYTES)
    this.#text.settle()
  }

  #parse(bytes: Uint8Array, from: number, end: number, isFinal: boolean): void {
    const parser = this.#parser
    for (let at = from, next = from; at < end; at = next) {
      const afterColour = parser.isInSequence ? -1 : colourEnd(bytes, at, end)
      if (afterColour > 0) {
        parser.reset()
        this.#mark(bytes, at, afterColour, NO_BYTES)
        next = afterColour
        continue
      }
      const wasInString = parser.isInString
      const part = parser.next(bytes, at, end, isFinal)
      next = parser.partEnd
      if (part === TERMINAL_PART.partial) {
        this.#partial = Buffer.from(bytes.subarray(at, end))
        break
      }
      if (part === TERMINAL_PART.text || part === TERMINAL_PART.control)
        this.#fresh.appendRun(bytes, at, parser.partEnd)
      else if (part === TERMINAL_PART.payload) {
        this.#payload ??= new MarkedStream(this.#replacer, this.#payloadOut)
        this.#payload.push(bytes.subarray(at, parser.partEnd))
        this.#markPayload()
      } else {
        if (wasInString) this.#endPayload()
        if (parser.isComplete && this.#sequence.length === 0) {
          this.#sequenceEnds(bytes, at, parser.partEnd)
          continue
        }
        this.#sequence.append(bytes, at, parser.partEnd)
        if (parser.isComplete) {
          const whole = this.#sequence.take()
          this.#sequenceEnds(whole, 0, whole.length)
        } else if (parser.isAborted) this.#sequenceAborts(wasInString)
      }
    }
    const fresh = this.#fresh.take()
    this.#text.push(fresh)
  }

  #endPayload(): void {
    if (this.#payload === undefined) return
    this.#payload.settle()
    this.#markPayload()
    this.#payload = undefined
  }

  #markPayload(): void {
    if (this.#payloadOut.length > 0) this.#markAll(this.#payloadOut.take())
  }

  #markAll(bytes: Uint8Array): void {
    this.#mark(bytes, 0, bytes.length, NO_BYTES)
  }

  #mark(bytes: Uint8Array, start: number, end: number, standIn: Uint8Array, isText = false): void {
    this.#text.mark(this.#text.textLength + this.#fresh.length, bytes, start, end, standIn.length, isText)
    if (standIn.length > 0) this.#fresh.append(standIn)
  }

  #sequenceEnds(bytes: Uint8Array, start: number, end: number): void {
    const parser = this.#parser
    if (!parser.isInString && parser.final === 0x62 && isPlainCsi(parser)) this.#markRepetition(bytes, start, end)
    else this.#mark(bytes, start, end, standInOf(parser))
  }

  /** REP shows the last character again. */
  #markRepetition(bytes: Uint8Array, start: number, end: number): void {
    const last = this.#fresh.length > 0 ? this.#fresh.bytes[this.#fresh.length - 1] : this.#text.lastByte
    const count = this.#parser.parameter(0, 1)
    const isPart = last !== undefined && last >= 0x20 && last < 0x7f && count <= MAX_REPEATED
    this.#mark(bytes, start, end, isPart ? Buffer.alloc(count, last) : NO_BYTES, isPart)
  }

  #sequenceAborts(wasInString: boolean): void {
    const bytes = this.#sequence.take()
    // The ESC that broke a control string begins the next sequence.
    if (this.#parser.isInSequence) {
      this.#sequence.append(bytes)
      return
    }
    if (wasInString) this.#markAll(bytes)
    // What no terminal takes for a sequence is text.
    else this.#fresh.append(bytes)
  }
}

function isPlainCsi(parser: TerminalParser): boolean {
  return parser.sequenceType === 'csi' && parser.prefix === 0 && parser.intermediate === 0
}

/** What a person would read in a sequence's place. */
function standInOf(parser: TerminalParser): Uint8Array {
  if (parser.isInString) return NO_BYTES
  if (parser.sequenceType === 'escape')
    return parser.intermediate === 0 && ESCAPE_MOVES.has(parser.final) ? NEW_LINE : NO_BYTES
  if (!isPlainCsi(parser)) return NO_BYTES
  if (parser.final === 0x43) return BLANK
  return MOVES.has(parser.final) ? NEW_LINE : NO_BYTES
}

/**
 * The end of a colour that starts at `at` (`ESC [ 1 ; 31 m`), or -1: most of what stands between texts, and nothing to a reader.
 * Parameters longer than a colour's are left to the parser, which tells them from values.
 */
function colourEnd(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== 0x1b || bytes[at + 1] !== 0x5b) return -1
  const limit = Math.min(end, at + MAX_COLOUR_BYTES)
  let digits = 0
  for (let i = at + 2; i < limit; i++) {
    const byte = bytes[i] as number
    if (byte === 0x6d) return i + 1
    if (byte === 0x3b) digits = 0
    else if (byte < 0x30 || byte > 0x39 || ++digits > MAX_COLOUR_DIGITS) return -1
  }
  return -1
}

/** The bytes in front that go on a character. */
function continuationLength(bytes: Uint8Array): number {
  let length = 0
  while (length < 3 && length < bytes.length && ((bytes[length] as number) & 0xc0) === 0x80) length++
  return length
}

/** Up to where the bytes from `start` are plain text for sure: all but a character that is cut at the end, or none. */
function plainLength(bytes: Uint8Array, start: number): number {
  let end = bytes.length
  for (let back = 1; back <= 3 && back <= bytes.length - start; back++) {
    const byte = bytes[bytes.length - back] as number
    if (byte < 0x80) break
    if (byte < 0xc0) continue
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
    if (length > back) end = bytes.length - back
    break
  }
  const isAll = start === 0 && end === bytes.length
  return end > start && hasNoSequences(isAll ? bytes : bytes.subarray(start, end)) ? end : start
}
