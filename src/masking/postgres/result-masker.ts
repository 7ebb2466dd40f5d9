import type {
  CellMask,
  MaskSet,
  ResultColumn,
  ResultMasker,
  RowPlan,
  SqlFacts,
  TextExposure,
  TextMasker,
} from '../../core/index.js'
import type { KeyedHash } from '../keyed-hash.js'
import { type CompiledSpec, compileSpec, strategyFor } from '../match-columns.js'
import { textExposure } from '../text-exposure.js'
import type { Replacer } from '../replacer.js'
import { columnMask } from './column-mask.js'
import { detectMask } from './detect-mask.js'

/** Plans for the results of one set of masks. */
export class PostgresResultMasker implements ResultMasker {
  readonly readsSources: boolean
  readonly #specs: readonly CompiledSpec[]
  readonly #replacer: Replacer | undefined
  readonly #text: TextMasker | undefined
  readonly #hash: KeyedHash

  constructor(set: MaskSet, hash: KeyedHash, replacer: Replacer | undefined, text: TextMasker | undefined) {
    this.#specs = set.columns.map(compileSpec)
    this.readsSources = set.columns.length > 0
    this.#hash = hash
    this.#replacer = replacer
    this.#text = text
  }

  planRows(columns: readonly ResultColumn[]): RowPlan | undefined {
    const plan = columns.map((column) => this.#mask(column))
    return plan.some((mask) => mask !== undefined) ? plan : undefined
  }

  maskText(text: Uint8Array): Uint8Array {
    return this.#text === undefined ? text : this.#text.maskText(text)
  }

  textExposure(facts: SqlFacts): TextExposure {
    return textExposure(facts, this.#specs)
  }

  #mask(column: ResultColumn): CellMask | undefined {
    const strategy = strategyFor(column, this.#specs)
    if (strategy !== undefined) return columnMask(column.type, column.format, strategy, this.#hash)
    if (this.#replacer === undefined) return undefined
    const labels = [column.name]
    if (column.origin !== undefined) labels.push(column.origin.column)
    for (const same of column.origins ?? []) labels.push(same.column)
    return detectMask(column.type, column.format, { replacer: this.#replacer, hash: this.#hash, labels })
  }
}
