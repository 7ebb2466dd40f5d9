import { ByteWriter } from '../bytes/writer.js'
import { TERMINAL_PART, type TerminalPart, TerminalParser } from './terminal-parser.js'

/** BS, HT, LF, CR. Not BEL, not ENQ (answers), not SO and SI (another alphabet). */
const KEPT_CONTROLS = [0x08, 0x09, 0x0a, 0x0d]
/** Movements, erasing, colours: `A`-`M`, `P`, `S`, `T`, `X`, `Z`, `` ` ``, `a`, `d`-`g`, `m`, `r`, `s`, `u`, `@`. */
const KEPT_CSI = new Set(Buffer.from('ABCDEFGHIJKLMPSTXZ`adefgmrsu@', 'latin1'))
/** Cursor keys' wrap, cursor shown, alternate screen. Nothing that makes a terminal send or report. */
const KEPT_PRIVATE_MODES = new Set([7, 12, 25, 47, 1047, 1049])
/** DECSC, DECRC, IND, NEL, RI. */
const KEPT_ESCAPES = new Set(Buffer.from('78DEM', 'latin1'))
const MAX_KEPT_SEQUENCE_BYTES = 128
/** Marks and overrides that turn the reading order. */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Takes out of a terminal's output whatever does more than show text: control strings (clipboard, links, titles, images,
 * device requests), questions that a terminal answers as if typed, modes of keys and mouse, 8-bit controls, bytes that
 * are not UTF-8. Text, colours, cursor movements, erasing and the alternate screen stay. For people who watch
 * a recording; the recording keeps the raw bytes.
 *
 * Works on a stream; bounded: at most 128 bytes of an unfinished sequence are kept.
 */
export class TerminalSanitizer {
  readonly #parser = new TerminalParser()
  readonly #out = new ByteWriter()
  readonly #sequence = new ByteWriter(MAX_KEPT_SEQUENCE_BYTES)
  #decoder = new TextDecoder()
  #partial: Uint8Array = Buffer.alloc(0)
  #isDropped = false

  push(chunk: Uint8Array): Uint8Array {
    this.#run(this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]), false)
    return this.#out.take()
  }

  /** What is left when nothing more comes. */
  flush(): Uint8Array {
    this.#run(this.#partial, true)
    this.#endText()
    this.#parser.reset()
    return this.#out.take()
  }

  #run(bytes: Uint8Array, isFinal: boolean): void {
    this.#partial = Buffer.alloc(0)
    const parser = this.#parser
    for (let at = 0; at < bytes.length; at = parser.partEnd) {
      const wasInSequence = parser.isInSequence
      const part = parser.next(bytes, at, bytes.length, isFinal)
      if (part === TERMINAL_PART.partial) {
        this.#partial = Buffer.from(bytes.subarray(at))
        return
      }
      this.#take(part, bytes, at, wasInSequence)
    }
  }

  #take(part: TerminalPart, bytes: Uint8Array, at: number, wasInSequence: boolean): void {
    const parser = this.#parser
    if (part === TERMINAL_PART.text) {
      const text = this.#decoder.decode(bytes.subarray(at, parser.partEnd), { stream: true })
      this.#out.utf8(text.replace(DIRECTION, ''))
      return
    }
    if (part === TERMINAL_PART.payload) return
    if (part === TERMINAL_PART.control) {
      this.#endText()
      const byte = bytes[at] as number
      if (KEPT_CONTROLS.includes(byte)) this.#out.u8(byte)
      return
    }
    if (!wasInSequence) this.#begin()
    this.#collect(bytes, at, parser.partEnd)
    if (parser.isComplete && !this.#isDropped && this.#isKept()) this.#out.append(this.#sequence.view())
    // An ESC that ended a control string begins this sequence.
    if (parser.isAborted && parser.isInSequence) this.#begin()
  }

  #begin(): void {
    this.#endText()
    this.#sequence.clear()
    this.#sequence.u8(0x1b)
    this.#isDropped = false
  }

  /** Appends what comes behind the introducer; an 8-bit one is written in 7 bits. */
  #collect(bytes: Uint8Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const byte = bytes[i] as number
      if (byte === 0x1b || byte === 0xc2) continue
      if (byte < 0x20 || byte === 0x7f || this.#sequence.length >= MAX_KEPT_SEQUENCE_BYTES) this.#isDropped = true
      else this.#sequence.u8(byte >= 0x80 ? byte - 0x40 : byte)
    }
  }

  #isKept(): boolean {
    const parser = this.#parser
    if (parser.isInString) return false
    if (parser.sequenceType === 'escape') {
      // The alphabets of frames and borders, and back: ESC ( 0, ESC ( B.
      if (parser.intermediate === 0x28) return parser.final === 0x30 || parser.final === 0x42
      return parser.intermediate === 0 && KEPT_ESCAPES.has(parser.final)
    }
    if (parser.sequenceType !== 'csi' || parser.intermediate !== 0) return false
    if (parser.prefix === 0x3f && (parser.final === 0x68 || parser.final === 0x6c))
      return (
        parser.parameterCount > 0 &&
        parser.parameters.subarray(0, parser.parameterCount).every((mode) => KEPT_PRIVATE_MODES.has(mode))
      )
    return (
      parser.prefix === 0 &&
      KEPT_CSI.has(parser.final) &&
      // With more parameters it is about the mouse.
      (parser.final !== 0x54 || parser.parameterCount < 2)
    )
  }

  #endText(): void {
    this.#out.utf8(this.#decoder.decode())
  }
}

/**
 * The same for bytes that are all there.
 *
 * @example sanitizeTerminal(Buffer.from('\x1b]52;c;cm0gLXJm\x07\x1b[31mred')) // '\x1b[31mred'
 */
export function sanitizeTerminal(bytes: Uint8Array): Uint8Array {
  const sanitizer = new TerminalSanitizer()
  return Buffer.concat([sanitizer.push(bytes), sanitizer.flush()])
}
