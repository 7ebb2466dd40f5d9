import type { Denial, TerminalModes } from '../../../core/index.js'

/**
 * The shell to run on the target behind a guarded terminal where bash is there: without a line editor of its own (no
 * completion, no key bindings) and without history expansion, a line is what was judged. Run by `exec` instead of `shell`.
 */
export const GUARDED_SHELL_COMMAND = 'exec bash --noediting --login +H -i'

export interface GuardedTerminalOptions {
  /** Width of the client's terminal. Default 80. */
  readonly columns?: number
  /** Whether a line goes on on the next one: an open quote, a here-document, a backslash at its end. Default: never. */
  readonly isIncomplete?: (text: string) => boolean
  /** Full-screen and raw programs may run where the permit of a line does not say. Default false. */
  readonly allowsRawTerminal?: boolean
  /** How to tell that a program reads single keys. Default: alternate screen, mouse, application keys. */
  readonly isRawProgram?: (modes: TerminalModes) => boolean
  /**
   * What is typed where a program asks for a secret cannot be judged and must not be recorded. `refuse` (default): it
   * does not leave the gateway. `pass`: it does, unseen: a program can be made to ask, so this lets lines through unjudged.
   */
  readonly secretLines?: 'refuse' | 'pass'
  /** Told the line of output that the cursor stands in. Default: it ends in a word for a secret and a colon. */
  readonly isSecretPrompt?: (line: string) => boolean
  /** Lines with `!` or `^` that a shell may replace by older ones are judged as they stand. Default false: refused. */
  readonly allowsHistoryExpansion?: boolean
  /** Default 4000, at most 4095: a terminal drops what is longer than 4095 bytes, and would run something else. */
  readonly maxLineBytes?: number
  /** Of a command of several lines. Default 65536. */
  readonly maxTextBytes?: number
  /** Typed or pasted while a line is being decided on. Default 65536. */
  readonly maxPendingBytes?: number
  /** Default 200 lines. */
  readonly maxHistoryLines?: number
  /** Ask the client's terminal to mark what is pasted. Default true. */
  readonly usesBracketedPaste?: boolean
}

/** What a guarded terminal asks its driver to do, in this order. */
export type GuardedTerminalEvent =
  | { readonly type: 'toClient'; readonly bytes: Uint8Array }
  | { readonly type: 'toUpstream'; readonly bytes: Uint8Array }
  /** Judge it, then call `permit` or `refuse`. No other line comes before that. */
  | { readonly type: 'line'; readonly lineId: number; readonly text: string }
  /** Ctrl-C while the line waits: `refuse` it when its hold has ended. */
  | { readonly type: 'withdraw'; readonly lineId: number }
  /** A line was refused here, before any rule saw it: for the record. */
  | { readonly type: 'refused'; readonly denial: Denial }
  /** A line typed at a prompt for a secret; so many bytes. For the record, which must not hold the line. */
  | { readonly type: 'secretLine'; readonly isSent: boolean; readonly byteLength: number }
  /**
   * A program has taken over the screen or the keys. Allowed: what is typed passes unseen until it is over. Not
   * allowed: it was sent Ctrl-C; call `escalate` while `isRefusingProgram` stays true, every second or so.
   */
  | { readonly type: 'rawProgram'; readonly isAllowed: boolean }
  | { readonly type: 'rawProgramEnded' }
  /** A refused program does not end: close the channel, which hangs it up. */
  | { readonly type: 'hangUp'; readonly denial: Denial }

/** A terminal whose lines are edited by the gateway and reach the target only whole, and only once permitted. */
export interface GuardedTerminal {
  /** Bytes from the client. */
  receive(chunk: Uint8Array): void
  /** Bytes from the target, masked. */
  output(chunk: Uint8Array): void
  next(): GuardedTerminalEvent | undefined
  /** @throws SallyportError `misuse` when this line is not waiting */
  permit(lineId: number, permit?: { readonly allowsRawTerminal?: boolean }): void
  /** Tells the client, discards what was typed ahead, and shows the prompt again. */
  refuse(lineId: number, denial: Denial): void
  /** Shows a message while a line waits. */
  inform(lineId: number, text: string): void
  resize(columns: number): void
  /** A refused program is still there: a stronger signal, then `hangUp`. */
  escalate(): void
  /** Puts the client's terminal back in order, at the end of the session. */
  end(): void
  /** False while so much is typed ahead that the client must wait. */
  readonly wantsInput: boolean
  readonly isRefusingProgram: boolean
  /** The line being decided on. */
  readonly waitingLineId: number | undefined
}
