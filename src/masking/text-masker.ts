import { ByteWriter, CELL_UNCHANGED, type CellMask, type TextMasker } from '../core/index.js'
import { DetectingMask } from './detecting-mask.js'
import type { Replacer } from './replacer.js'
import { settled } from './settled-mask.js'

/** Masks texts that stand outside of results: messages, parameter values, names. */
export class DetectingTextMasker implements TextMasker {
  readonly #mask: CellMask
  readonly #target = new ByteWriter()

  constructor(replacer: Replacer) {
    this.#mask = settled(new DetectingMask(replacer, { isNullable: false }), replacer)
  }

  maskText(text: Uint8Array): Uint8Array {
    this.#target.clear()
    const length = this.#mask.apply(text, 0, text.length, this.#target)
    return length === CELL_UNCHANGED ? text : Uint8Array.prototype.slice.call(this.#target.view())
  }
}
