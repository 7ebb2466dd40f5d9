import { TerminalSanitizer } from '../core/index.js'
import { Utf8Stream } from './utf8-stream.js'

export interface TerminalTextOptions {
  /** Takes out what would act on the terminal of who watches: clipboard, links, titles, questions, images, modes of keys and mouse. */
  readonly isSanitized: boolean
  /** There was no terminal to turn a line's end into a return and a line feed. */
  readonly addsReturns: boolean
}

/** One stream of a recorded terminal as text for a player. */
export class TerminalText {
  readonly #options: TerminalTextOptions
  readonly #utf8 = new Utf8Stream()
  readonly #sanitizer = new TerminalSanitizer()
  #endsInReturn = false
  /** Bytes of text that were taken out, in UTF-8. */
  removedBytes = 0

  constructor(options: TerminalTextOptions) {
    this.#options = options
  }

  /** How often U+FFFD stands for what was not UTF-8. */
  get replacements(): number {
    return this.#utf8.replacements
  }

  push(bytes: Uint8Array): string {
    return this.#shown(this.#utf8.push(bytes))
  }

  /** What is left when nothing more comes. */
  flush(): string {
    const text = this.#shown(this.#utf8.flush())
    if (!this.#options.isSanitized) return text
    const rest = this.#sanitizer.flush()
    this.removedBytes -= rest.length
    return text + this.#withReturns(Buffer.from(rest).toString('utf8'))
  }

  #shown(text: string): string {
    if (!this.#options.isSanitized) return this.#withReturns(text)
    const bytes = Buffer.from(text, 'utf8')
    const kept = this.#sanitizer.push(bytes)
    this.removedBytes += bytes.length - kept.length
    return this.#withReturns(Buffer.from(kept).toString('utf8'))
  }

  #withReturns(text: string): string {
    if (!this.#options.addsReturns || text === '') return text
    const whole =
      this.#endsInReturn && text.startsWith('\n')
        ? `\n${text.slice(1).replace(/\r?\n/g, '\r\n')}`
        : text.replace(/\r?\n/g, '\r\n')
    this.#endsInReturn = text.endsWith('\r')
    return whole
  }
}
