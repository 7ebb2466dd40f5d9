import { LEAVE_TERMINAL_MODES, TerminalModeWatch } from '../../core/index.js'
import {
  TerminalEventReader,
  TerminalText,
  type ReplayEntry,
  type TerminalEvent,
  type TerminalSelection,
  type VerifyResult,
} from '../../recording/index.js'
import type { Io } from '../command.js'

export interface PlayOptions {
  readonly selection: TerminalSelection
  /** How often faster than it happened. */
  readonly speed: number
  /** No pause is longer. */
  readonly maxIdleMs: number
  /** Passes on every byte as it was. */
  readonly isRaw: boolean
}

/** Colours, alphabet, scroll region, wrap and cursor as they should be, without moving the cursor. */
const RESTORE = '\x1b7\x1b[m\x1b(B\x1b[r\x1b8\x1b[?7h\x1b[?25h'

/** Plays one recorded terminal as it was. @returns the verification and whether there was anything */
export async function playTerminal(
  entries: AsyncGenerator<ReplayEntry, VerifyResult, undefined>,
  options: PlayOptions,
  io: Io,
): Promise<{ readonly verification: VerifyResult; readonly hasTerminal: boolean }> {
  const reader = new TerminalEventReader(options.selection)
  const player = new Player(options, io)
  try {
    for (;;) {
      const step = await entries.next()
      if (step.done === true) {
        await player.finish()
        return { verification: step.value, hasTerminal: reader.commandId !== undefined }
      }
      for (const event of reader.push(step.value)) await player.play(event)
    }
  } finally {
    await player.restore()
  }
}

class Player {
  readonly #options: PlayOptions
  readonly #io: Io
  readonly #texts = new Map<string, TerminalText>()
  readonly #modes = new TerminalModeWatch()
  #hasTerminal = true
  #hasPlayed = false
  #lastAtUnixMs: number | undefined

  constructor(options: PlayOptions, io: Io) {
    this.#options = options
    this.#io = io
  }

  async play(event: TerminalEvent): Promise<void> {
    if (event.code === 'start') {
      this.#lastAtUnixMs = event.atUnixMs
      this.#hasTerminal = event.hasTerminal
    }
    if (event.code !== 'o') return
    const { speed, maxIdleMs, isRaw } = this.#options
    const delayMs = Math.min(maxIdleMs, (event.atUnixMs - (this.#lastAtUnixMs ?? event.atUnixMs)) / speed)
    this.#lastAtUnixMs = event.atUnixMs
    if (delayMs >= 1) await this.#io.wait(delayMs)
    await this.#write(isRaw ? event.bytes : this.#text(event.channel).push(event.bytes))
  }

  async finish(): Promise<void> {
    for (const text of this.#texts.values()) await this.#write(text.flush())
  }

  /** Leaves the viewer's terminal as it was found. */
  async restore(): Promise<void> {
    if (!this.#hasPlayed) return
    if (this.#options.isRaw) await this.#io.out(LEAVE_TERMINAL_MODES)
    else if (this.#modes.modes.isAlternateScreen) await this.#io.out('\x1b[?1049l')
    await this.#io.out(`${RESTORE}\n`)
  }

  async #write(piece: string | Uint8Array): Promise<void> {
    if (piece.length === 0) return
    this.#hasPlayed = true
    if (typeof piece === 'string') this.#modes.push(Buffer.from(piece))
    await this.#io.out(piece)
  }

  #text(channel: string): TerminalText {
    let text = this.#texts.get(channel)
    if (text === undefined) {
      text = new TerminalText({ isSanitized: true, addsReturns: !this.#hasTerminal })
      this.#texts.set(channel, text)
    }
    return text
  }
}
