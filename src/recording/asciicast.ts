import { printableText } from '../core/index.js'
import { asciiJson } from './line.js'
import type { ReplayEntry } from './replay.js'
import { TerminalEventReader, type TerminalEvent, type TerminalSelection } from './terminal-events.js'
import { TerminalText } from './terminal-text.js'
import type { VerifyResult } from './verify.js'

export interface AsciicastOptions extends TerminalSelection {
  /** Default 3. Version 2 has neither comments nor the exit event. */
  readonly version?: 2 | 3
  /** Keeps sequences that act on the terminal of who watches. Default false: players in a terminal pass them on. */
  readonly isRaw?: boolean
  /** Leaves away what was typed. Default false. */
  readonly omitInput?: boolean
  readonly title?: string
}

/** What an export holds and what it does not. */
export interface AsciicastSummary {
  /** The command whose terminal it is. Undefined: there was none, and nothing was written. */
  readonly commandId: number | undefined
  readonly events: number
  /** How often U+FFFD stands for bytes that are not UTF-8, which the format cannot hold. */
  readonly replacements: number
  /** Bytes of sequences that were taken out. */
  readonly removedBytes: number
  readonly verification: VerifyResult
}

/** What players use that are told nothing. */
const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24
/** More of a command line is not for a marker. */
const MAX_LABEL_LENGTH = 200

/**
 * Turns the recording of one terminal into an asciicast file, line by line, verifying it on the way. Nothing from the first bad
 * line on is exported. Needs memory for one line.
 *
 * @param entries from `replayRecording`
 * @returns what was left out or replaced, when all is read
 * @example
 * const cast = exportAsciicast(replayRecording(createReadStream('session-a1.000001.jsonl')), { version: 2 })
 * for await (const line of cast) output.write(line)
 * @see https://docs.asciinema.org/manual/asciicast/v3/
 */
export async function* exportAsciicast(
  entries: AsyncGenerator<ReplayEntry, VerifyResult, undefined>,
  options: AsciicastOptions = {},
): AsyncGenerator<string, AsciicastSummary, undefined> {
  const reader = new TerminalEventReader(options)
  const writer = new AsciicastWriter(options)
  for (;;) {
    const step = await entries.next()
    if (step.done !== true) {
      for (const event of reader.push(step.value)) yield* writer.lines(event)
      continue
    }
    yield* writer.finish(reader.finish(), step.value)
    return {
      commandId: reader.commandId,
      events: writer.events,
      replacements: writer.replacements,
      removedBytes: writer.removedBytes,
      verification: step.value,
    }
  }
}

class AsciicastWriter {
  readonly #options: AsciicastOptions
  readonly #version: 2 | 3
  readonly #texts = new Map<string, TerminalText>()
  #start: Extract<TerminalEvent, { readonly code: 'start' }> | undefined
  #hasHeader = false
  #lastAtUnixMs = 0
  events = 0

  constructor(options: AsciicastOptions) {
    this.#options = options
    this.#version = options.version ?? 3
  }

  get replacements(): number {
    return this.#sum((text) => text.replacements)
  }

  get removedBytes(): number {
    return this.#sum((text) => text.removedBytes)
  }

  lines(event: TerminalEvent): string[] {
    switch (event.code) {
      case 'start':
        this.#start = event
        this.#lastAtUnixMs = event.atUnixMs
        return []
      case 'r':
        if (!this.#hasHeader) return [this.#header(event.columns, event.rows)]
        return this.#event(event.atUnixMs, 'r', `${event.columns}x${event.rows}`)
      case 'm':
        return this.#event(event.atUnixMs, 'm', labelOf(event.label))
      case 'x':
        return this.#version === 2 ? [] : this.#event(event.atUnixMs, 'x', String(event.exitCode))
      case 'o':
      case 'i': {
        if (event.code === 'i' && this.#options.omitInput === true) return []
        const text = this.#text(event.channel).push(event.bytes)
        return text === '' ? [] : this.#event(event.atUnixMs, event.code, text)
      }
      default:
        return event satisfies never
    }
  }

  finish(last: readonly TerminalEvent[], verification: VerifyResult): string[] {
    if (this.#start === undefined) return []
    const lines = this.#hasHeader ? [] : [this.#header(DEFAULT_COLUMNS, DEFAULT_ROWS)]
    for (const [channel, text] of this.#texts) {
      const rest = text.flush()
      if (rest !== '') lines.push(...this.#event(this.#lastAtUnixMs, channel === 'input' ? 'i' : 'o', rest))
    }
    for (const event of last) lines.push(...this.lines(event))
    if (this.#version === 3)
      for (const remark of this.#remarks(verification)) lines.push(`# ${printableText(remark)}\n`)
    return lines
  }

  #remarks({ problem }: VerifyResult): string[] {
    const remarks: string[] = []
    if (this.replacements > 0) remarks.push(`${this.replacements} times U+FFFD stands for bytes that are not UTF-8`)
    if (this.removedBytes > 0) remarks.push(`${this.removedBytes} bytes that act on a terminal were taken out`)
    if (problem !== undefined) remarks.push(`the recording does not verify, line ${problem.line}: ${problem.message}`)
    return remarks
  }

  #header(columns: number, rows: number): string {
    this.#hasHeader = true
    const size = { width: columns || DEFAULT_COLUMNS, height: rows || DEFAULT_ROWS }
    const text = this.#start?.text
    const rest = {
      timestamp: Math.floor((this.#start?.atUnixMs ?? 0) / 1000),
      ...(text === undefined ? {} : { command: printableText(text) }),
      ...(this.#options.title === undefined ? {} : { title: this.#options.title }),
    }
    return this.#version === 2
      ? `${asciiJson({ version: 2, ...size, ...rest })}\n`
      : `${asciiJson({ version: 3, term: { cols: size.width, rows: size.height }, ...rest })}\n`
  }

  /** Version 2 counts from the beginning, version 3 from the event before; both in seconds. */
  #event(atUnixMs: number, code: string, data: string): string[] {
    const before = this.#hasHeader ? [] : [this.#header(DEFAULT_COLUMNS, DEFAULT_ROWS)]
    const since = this.#version === 2 ? (this.#start?.atUnixMs ?? atUnixMs) : this.#lastAtUnixMs
    this.#lastAtUnixMs = atUnixMs
    this.events++
    return [...before, `[${((atUnixMs - since) / 1000).toFixed(3)}, "${code}", ${asciiJson(data)}]\n`]
  }

  #text(channel: string): TerminalText {
    let text = this.#texts.get(channel)
    if (text === undefined) {
      const addsReturns = this.#start?.hasTerminal === false && channel !== 'input'
      text = new TerminalText({ isSanitized: this.#options.isRaw !== true && channel !== 'input', addsReturns })
      this.#texts.set(channel, text)
    }
    return text
  }

  #sum(part: (text: TerminalText) => number): number {
    let sum = 0
    for (const text of this.#texts.values()) sum += part(text)
    return sum
  }
}

function labelOf(text: string): string {
  const line = printableText(text)
  return line.length > MAX_LABEL_LENGTH ? `${line.slice(0, MAX_LABEL_LENGTH)}...` : line
}
