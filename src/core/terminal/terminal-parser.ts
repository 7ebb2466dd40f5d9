/** What a part of a terminal's stream is. */
export const TERMINAL_PART = {
  /** Characters to show, in UTF-8; invalid bytes too. */
  text: 0,
  /** One control character (C0 or DEL) outside of a sequence. */
  control: 1,
  /** Bytes of an escape or control sequence, or what opens or ends a control string. */
  sequence: 2,
  /** Bytes inside a control string: a title, a clipboard, an image. */
  payload: 3,
  /** The byte at `partStart` cannot be told without the one after it: give it again, in front of the next bytes. */
  partial: 4,
} as const

export type TerminalPart = (typeof TERMINAL_PART)[keyof typeof TERMINAL_PART]

/** Kinds of sequences. `string`: SOS, PM and APC. */
export type TerminalSequenceType = 'escape' | 'csi' | 'osc' | 'dcs' | 'string'

/** More parameters are not kept. */
const MAX_PARAMETERS = 32
const MAX_PARAMETER = 65_535
const MAX_DIGITS_OF_PARAMETER = 9
/** An escape or control sequence that has not ended by then is text: no terminal has longer ones. */
const MAX_SEQUENCE_BYTES = 256

const GROUND = 0
const ESCAPE = 1
const CSI = 2
const DCS_HEAD = 3
const STRING = 4
/** ESC inside a control string: the string is over; `\` after it belongs to its end. */
const STRING_ESCAPE = 5

const STOPS_TEXT = textStops()

function textStops(): Uint8Array {
  const stops = new Uint8Array(256)
  stops.fill(1, 0, 0x20)
  stops.fill(1, 0x7f, 0x100)
  return stops
}

/**
 * Splits a terminal's byte stream into text and control (ECMA-48, as DEC's VT500 reads it, in UTF-8). Incremental: all
 * state is in a few numbers, and nothing is copied. 8-bit controls count where they stand by themselves, and as the
 * characters U+0080 to U+009F; the same bytes inside another character are that character.
 *
 * @example
 * for (let at = 0; at < bytes.length; at = parser.partEnd) {
 *   const part = parser.next(bytes, at, bytes.length)
 *   if (part === TERMINAL_PART.partial) break
 *   if (part === TERMINAL_PART.text) show(bytes.subarray(at, parser.partEnd))
 * }
 */
export class TerminalParser {
  /** End of the last part; it began where `next` was told to start. A part that only ends a sequence may be empty. */
  partEnd = 0
  /** Of the last `sequence` part: it ended its sequence, or for a control string, its opening or the string. */
  isComplete = false
  /** Of the last `sequence` part: its sequence was cut short, by CAN, SUB, a new sequence or a byte that cannot stand in it. */
  isAborted = false
  sequenceType: TerminalSequenceType = 'escape'
  /** `?`, `>`, `<` or `=` in front of the parameters, or 0. */
  prefix = 0
  /** Last intermediate byte, or 0. */
  intermediate = 0
  final = 0
  /** The first `parameterCount` of them are those of the sequence. */
  readonly parameters = new Uint16Array(MAX_PARAMETERS)
  parameterCount = 0

  #state = GROUND
  #length = 0
  #digits = 0
  #utf8Left = 0

  /** Neither inside a sequence nor inside a character. */
  get isGround(): boolean {
    return this.#state === GROUND && this.#utf8Left === 0
  }

  /** Inside a sequence or control string. */
  get isInSequence(): boolean {
    return this.#state !== GROUND
  }

  /** Inside a control string, behind its opening. */
  get isInString(): boolean {
    return this.#state === STRING || this.#state === STRING_ESCAPE
  }

  /** The first parameter, or `fallback` where it is missing or 0. */
  parameter(index: number, fallback: number): number {
    const value = index < this.parameterCount ? (this.parameters[index] as number) : 0
    return value === 0 ? fallback : value
  }

  reset(): void {
    this.#state = GROUND
    this.#utf8Left = 0
  }

  /**
   * The part that starts at `at`; see {@link TerminalParser.partEnd}.
   *
   * @param at less than `end`
   * @param isFinal nothing follows: never answers `partial`
   */
  next(bytes: Uint8Array, at: number, end: number, isFinal = false): TerminalPart {
    switch (this.#state) {
      case GROUND:
        return this.#ground(bytes, at, end, isFinal)
      case STRING:
        return this.#string(bytes, at, end, isFinal)
      case STRING_ESCAPE:
        return this.#stringEscape(bytes, at)
      default:
        return this.#sequence(bytes, at, end)
    }
  }

  #ground(bytes: Uint8Array, at: number, end: number, isFinal: boolean): TerminalPart {
    let i = at
    while (i < end) {
      const byte = bytes[i] as number
      if (STOPS_TEXT[byte] === 0) {
        this.#utf8Left = 0
        i++
        continue
      }
      if (byte >= 0x80) {
        if (this.#utf8Left > 0 && byte < 0xc0) {
          this.#utf8Left--
          i++
          continue
        }
        if (byte === 0xc2) {
          const isC1 = i + 1 < end && isC1Byte(bytes[i + 1] as number)
          if (i > at && (isC1 || i + 1 >= end)) break
          if (isC1) return this.#c1(bytes[i + 1] as number, i + 2)
          if (i + 1 >= end && !isFinal) {
            this.partEnd = i
            return TERMINAL_PART.partial
          }
        } else if (isC1Byte(byte)) {
          this.#utf8Left = 0
          if (i > at) break
          return this.#c1(byte, i + 1)
        }
        this.#utf8Left = followers(byte)
        i++
        continue
      }
      this.#utf8Left = 0
      if (i > at) break
      if (byte === 0x1b) {
        this.#open(ESCAPE, 'escape')
        return this.#sequence(bytes, i + 1, end)
      }
      this.partEnd = i + 1
      return TERMINAL_PART.control
    }
    this.partEnd = i
    return TERMINAL_PART.text
  }

  #open(state: number, type: TerminalSequenceType): void {
    this.#state = state
    this.#length = 0
    this.#digits = 0
    this.#utf8Left = 0
    this.sequenceType = type
    this.prefix = 0
    this.intermediate = 0
    this.final = 0
    this.parameterCount = 0
  }

  #c1(byte: number, partEnd: number): TerminalPart {
    this.#open(GROUND, 'escape')
    this.partEnd = partEnd
    this.isAborted = false
    this.isComplete = true
    this.#final7Bit(byte - 0x40)
    return TERMINAL_PART.sequence
  }

  /** What ESC and this final byte mean. */
  #final7Bit(final: number): void {
    switch (final) {
      case 0x5b: // [
        this.#enter(CSI, 'csi')
        return
      case 0x50: // P
        this.#enter(DCS_HEAD, 'dcs')
        return
      case 0x5d: // ]
        this.#enter(STRING, 'osc')
        return
      case 0x58: // X
      case 0x5e: // ^
      case 0x5f: // _
        this.#enter(STRING, 'string')
        this.final = final
        return
      default:
        this.final = final
        this.#state = GROUND
    }
  }

  #enter(state: number, type: TerminalSequenceType): void {
    this.#state = state
    this.sequenceType = type
    this.isComplete = state === STRING
  }

  #sequence(bytes: Uint8Array, at: number, end: number): TerminalPart {
    this.isComplete = false
    this.isAborted = false
    let i = at
    for (; i < end; i++) {
      const byte = bytes[i] as number
      if (byte >= 0x80) return this.#abort(i)
      if (byte === 0x1b) {
        if (i > at || this.#length > 0) return this.#abort(i)
        if (this.#state === ESCAPE) continue
        return this.#abort(i)
      }
      if (byte === 0x18 || byte === 0x1a) return this.#abort(i + 1)
      // Other controls inside a sequence act where they stand and do not end it.
      if (++this.#length > MAX_SEQUENCE_BYTES) return this.#abort(i)
      if (byte < 0x20 || byte === 0x7f) continue
      if (this.#state === ESCAPE) {
        if (byte < 0x30) {
          this.intermediate = byte
          continue
        }
        this.isComplete = true
        if (this.intermediate === 0) this.#final7Bit(byte)
        else {
          this.final = byte
          this.#state = GROUND
        }
        if (this.#state === CSI || this.#state === DCS_HEAD) continue
        this.partEnd = i + 1
        return TERMINAL_PART.sequence
      }
      if (byte >= 0x40) {
        this.final = byte
        this.isComplete = true
        this.#state = this.#state === DCS_HEAD ? STRING : GROUND
        this.partEnd = i + 1
        return TERMINAL_PART.sequence
      }
      if (byte < 0x30) this.intermediate = byte
      else if (byte >= 0x3c) this.prefix = byte
      else if (byte >= 0x3a) this.#nextParameter()
      else if (!this.#digit(byte - 0x30)) return this.#abort(i)
    }
    this.partEnd = i
    return TERMINAL_PART.sequence
  }

  #nextParameter(): void {
    if (this.parameterCount === 0) this.parameters[this.parameterCount++] = 0
    if (this.parameterCount < MAX_PARAMETERS) this.parameters[this.parameterCount++] = 0
    this.#digits = 0
  }

  /** False where no terminal's parameter is that long: rather a value that wants to pass for one. */
  #digit(digit: number): boolean {
    if (++this.#digits > MAX_DIGITS_OF_PARAMETER) return false
    const list = this.parameters
    if (this.parameterCount === 0) list[this.parameterCount++] = 0
    const last = this.parameterCount - 1
    list[last] = Math.min(MAX_PARAMETER, (list[last] as number) * 10 + digit)
    return true
  }

  #abort(partEnd: number): TerminalPart {
    this.#state = GROUND
    this.#utf8Left = 0
    this.isComplete = false
    this.isAborted = true
    this.partEnd = partEnd
    return TERMINAL_PART.sequence
  }

  #string(bytes: Uint8Array, at: number, end: number, isFinal: boolean): TerminalPart {
    let i = at
    while (i < end) {
      const byte = bytes[i] as number
      if (byte >= 0x20 && byte < 0x7f) {
        this.#utf8Left = 0
        i++
        continue
      }
      if (byte >= 0x80 && this.#utf8Left > 0 && byte < 0xc0) {
        this.#utf8Left--
        i++
        continue
      }
      if (byte === 0xc2) {
        if (i + 1 >= end && !isFinal) {
          if (i > at) break
          this.partEnd = i
          return TERMINAL_PART.partial
        }
        if (i + 1 < end && bytes[i + 1] === 0x9c) return i > at ? this.#payload(i) : this.#endOfString(i + 2)
      }
      if (byte === 0x9c || (byte === 0x07 && this.sequenceType === 'osc'))
        return i > at ? this.#payload(i) : this.#endOfString(i + 1)
      if (byte === 0x18 || byte === 0x1a) return i > at ? this.#payload(i) : this.#abort(i + 1)
      if (byte === 0x1b) {
        if (i > at) break
        this.#state = STRING_ESCAPE
        this.isComplete = false
        this.isAborted = false
        if (i + 1 < end) return this.#stringEscape(bytes, i + 1)
        this.partEnd = i + 1
        return TERMINAL_PART.sequence
      }
      this.#utf8Left = followers(byte)
      i++
    }
    return this.#payload(i)
  }

  #payload(partEnd: number): TerminalPart {
    this.partEnd = partEnd
    return TERMINAL_PART.payload
  }

  #endOfString(partEnd: number): TerminalPart {
    this.#state = GROUND
    this.#utf8Left = 0
    this.isComplete = true
    this.isAborted = false
    this.partEnd = partEnd
    return TERMINAL_PART.sequence
  }

  #stringEscape(bytes: Uint8Array, at: number): TerminalPart {
    if (bytes[at] === 0x5c) return this.#endOfString(at + 1) // \
    // Another sequence starts with this ESC.
    this.#open(ESCAPE, 'escape')
    this.isComplete = false
    this.isAborted = true
    this.partEnd = at
    return TERMINAL_PART.sequence
  }
}

function isC1Byte(byte: number): boolean {
  return byte >= 0x80 && byte < 0xa0
}

/** Bytes that follow this first byte of a character. */
function followers(byte: number): number {
  if (byte < 0xc2 || byte > 0xf4) return 0
  return byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
}
