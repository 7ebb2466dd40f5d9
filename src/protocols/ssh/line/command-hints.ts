import { OutputLine } from './output-line.js'

const MAX_WAITING_LINES = 16
const MAX_HINT_CHARACTERS = 1_024

/**
 * Guesses which commands were typed into an interactive shell that passes unjudged, from what its terminal showed: the
 * line behind the prompt when it was ended. For markers in a recording; anybody can make it guess wrong, so nothing may
 * be decided by it.
 */
export interface CommandHints {
  /** Bytes from the client. */
  input(chunk: Uint8Array): void
  /**
   * Bytes from the target.
   *
   * @returns commands whose lines ended in it
   */
  output(chunk: Uint8Array): readonly string[]
  resize(columns: number): void
}

/** Bounded: one line of output and a few numbers. */
export function createCommandHints(options: { readonly columns?: number } = {}): CommandHints {
  const line = new OutputLine(Math.max(options.columns ?? 80, 1_000))
  let prompt: string | undefined
  let ended = 0
  return {
    input(chunk) {
      if (line.modes.isAlternateScreen) return
      prompt ??= line.text
      for (const byte of chunk) {
        if (byte === 0x0d) ended = Math.min(ended + 1, MAX_WAITING_LINES)
        else if (byte === 0x03) prompt = undefined
      }
    },
    output(chunk) {
      const hints: string[] = []
      for (let at = 0; at < chunk.length; ) {
        // Line by line only while a line end was typed: bulk output takes the short way.
        const lineEnd = ended > 0 ? chunk.indexOf(0x0a, at) : -1
        const stop = lineEnd < 0 ? chunk.length : lineEnd
        if (stop > at) line.push(chunk.subarray(at, stop), () => false)
        if (lineEnd >= 0) {
          const text = line.text
          const shown = prompt ?? ''
          if (!line.modes.isAlternateScreen && text.startsWith(shown)) {
            const hint = text.slice(shown.length).trim().slice(0, MAX_HINT_CHARACTERS)
            if (hint !== '') hints.push(hint)
          }
          ended--
          prompt = undefined
          line.push(chunk.subarray(lineEnd, lineEnd + 1), () => false)
        }
        at = stop + (lineEnd < 0 ? 0 : 1)
      }
      return hints
    },
    resize(columns) {
      line.columns = Math.max(columns, 1_000)
    },
  }
}
