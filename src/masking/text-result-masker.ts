import type { ResultMasker, RowPlan, StreamMasker, TextMasker } from '../core/index.js'
import type { Replacer } from './replacer.js'
import { TerminalStreamMasker } from './terminal-masker.js'

/** Masks the output of commands that have no columns: shells, programs, files. */
export class TextResultMasker implements ResultMasker {
  readonly readsSources = false
  readonly #replacer: Replacer
  readonly #text: TextMasker

  constructor(replacer: Replacer, text: TextMasker) {
    this.#replacer = replacer
    this.#text = text
  }

  planRows(): RowPlan | undefined {
    return undefined
  }

  maskText(text: Uint8Array): Uint8Array {
    return this.#text.maskText(text)
  }

  stream(options: { readonly maxHoldBackBytes: number }): StreamMasker {
    return new TerminalStreamMasker(this.#replacer, options)
  }
}
