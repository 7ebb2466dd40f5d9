import { hasNoSequences } from './plain-text.js'
import { TERMINAL_PART, TerminalParser } from './terminal-parser.js'

const MOUSE_MODES = [9, 1000, 1001, 1002, 1003]
const ALTERNATE_SCREEN_MODES = [47, 1047, 1049]
const APPLICATION_CURSOR_MODE = 1
const BRACKETED_PASTE_MODE = 2004
/** Numbered modes that are kept track of. No others are stored, whatever the target sends. */
const TRACKED = new Set([APPLICATION_CURSOR_MODE, BRACKETED_PASTE_MODE, ...MOUSE_MODES, ...ALTERNATE_SCREEN_MODES])

/** What a client is to be sent so that its terminal is in none of the tracked modes. */
export const LEAVE_TERMINAL_MODES: Uint8Array = Buffer.from(
  '\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[?1l\x1b>\x1b[?25h\x1b[m',
  'latin1',
)

/** The modes that a program's output has put a terminal in: whether it has taken over the screen or the keys. */
export class TerminalModes {
  readonly #set = new Set<number>()
  readonly #saved = new Set<number>()
  hasApplicationKeypad = false

  get isAlternateScreen(): boolean {
    return ALTERNATE_SCREEN_MODES.some((mode) => this.#set.has(mode))
  }

  get hasApplicationCursor(): boolean {
    return this.#set.has(APPLICATION_CURSOR_MODE)
  }

  get hasBracketedPaste(): boolean {
    return this.#set.has(BRACKETED_PASTE_MODE)
  }

  get hasMouse(): boolean {
    return MOUSE_MODES.some((mode) => this.#set.has(mode))
  }

  reset(): void {
    this.#set.clear()
    this.hasApplicationKeypad = false
  }

  /** Takes the sequence that `parser` has just completed. True when it could have changed a mode. */
  apply(parser: TerminalParser): boolean {
    if (!parser.isComplete) return false
    if (parser.sequenceType === 'escape') return this.#escape(parser)
    if (parser.sequenceType !== 'csi') return false
    if (parser.prefix === 0 && parser.intermediate === 0x21 && parser.final === 0x70) {
      // DECSTR resets the modes of the keys and leaves the screen as it is.
      this.#set.delete(APPLICATION_CURSOR_MODE)
      this.hasApplicationKeypad = false
      return true
    }
    if (parser.prefix !== 0x3f || parser.intermediate !== 0) return false
    for (let i = 0; i < parser.parameterCount; i++) {
      const mode = parser.parameters[i] as number
      if (TRACKED.has(mode)) this.#change(mode, parser.final)
    }
    return true
  }

  #escape(parser: TerminalParser): boolean {
    if (parser.intermediate !== 0) return false
    if (parser.final === 0x63)
      this.reset() // RIS
    else if (parser.final === 0x3d)
      this.hasApplicationKeypad = true // DECKPAM
    else if (parser.final === 0x3e)
      this.hasApplicationKeypad = false // DECKPNM
    else return false
    return true
  }

  #change(mode: number, final: number): void {
    const isSet = this.#set.has(mode)
    if (final === 0x68) this.#enter(mode)
    else if (final === 0x6c) this.#leave(mode)
    else if (final === 0x73) {
      if (isSet) this.#saved.add(mode)
      else this.#saved.delete(mode)
    } else if (final === 0x72) {
      if (this.#saved.has(mode)) this.#enter(mode)
      else this.#leave(mode)
    }
  }

  #enter(mode: number): void {
    this.#set.add(mode)
  }

  /** There is one alternate screen, and one way of reporting the mouse: leaving either by any number leaves it. */
  #leave(mode: number): void {
    if (ALTERNATE_SCREEN_MODES.includes(mode)) for (const one of ALTERNATE_SCREEN_MODES) this.#set.delete(one)
    else if (MOUSE_MODES.includes(mode)) for (const one of MOUSE_MODES) this.#set.delete(one)
    else this.#set.delete(mode)
  }
}

/** Follows a stream's modes where nothing else parses it. */
export class TerminalModeWatch {
  readonly modes = new TerminalModes()
  readonly #parser = new TerminalParser()
  #partial = -1

  push(chunk: Uint8Array): void {
    if (this.#parser.isGround && this.#partial < 0 && hasNoSequences(chunk)) return
    const bytes = this.#partial < 0 ? chunk : Buffer.concat([Uint8Array.of(this.#partial), chunk])
    this.#partial = -1
    for (let at = 0; at < bytes.length; at = this.#parser.partEnd) {
      const part = this.#parser.next(bytes, at, bytes.length)
      if (part === TERMINAL_PART.partial) {
        this.#partial = bytes[at] as number
        return
      }
      if (part === TERMINAL_PART.sequence) this.modes.apply(this.#parser)
    }
  }
}
