import { ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask } from '../core/index.js'
import type { Replacer } from './replacer.js'

const MAX_PASSES = 6

/**
 * Masks what another mask has masked until nothing more is found. Two values written without anything between them
 * can hide each other: the second shows only once the first is gone. Costs nothing where nothing was found.
 */
class SettledMask implements CellMask {
  readonly #mask: CellMask
  readonly #scratch = new ByteWriter()

  constructor(mask: CellMask) {
    this.#mask = mask
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const before = target.length
    let written = this.#mask.apply(source, start, end, target)
    for (let pass = 1; written >= 0 && pass < MAX_PASSES; pass++) {
      const scratch = this.#scratch
      scratch.clear()
      const again = this.#mask.apply(target.bytes, before, before + written, scratch)
      if (again === CELL_UNCHANGED) break
      target.length = before
      if (again === CELL_NULL) return CELL_NULL
      target.append(scratch.bytes, 0, again)
      written = again
    }
    return written
  }
}

/** A mask whose result it would itself leave alone. */
export function settled(mask: CellMask, replacer: Replacer): CellMask {
  return replacer.isStable ? new SettledMask(mask) : mask
}
