import {
  type Certainty,
  type ColumnAccess,
  type ColumnSource,
  type CopyFacts,
  type FunctionCall,
  type OutputColumn,
  type SessionEffect,
  type SqlClass,
  type SqlStatementFacts,
  type TableAccess,
  type TableAccessMode,
  worstClass,
} from '../../../core/index.js'
import type { FunctionJudgement } from './function-data.js'
import { type Sources, sourceKey } from './sources.js'

const EVERYTHING: ColumnSource = Object.freeze({ column: '*' })
const UNKNOWN_EFFECT: SessionEffect = Object.freeze({ kind: 'unknown' })

/** Gathers the facts of one statement while its tree is walked. Nothing that was noted can be taken back. */
export class Collector {
  class: SqlClass = 'read'
  /** The worst class of the functions alone: what remains of a statement that is planned and not run. */
  functionClass: SqlClass = 'read'
  hasWhere = true
  /** Other literals in the same places may give other facts. */
  isLiteralDependent = false
  touchesFiles = false
  touchesPrograms = false
  isDynamic = false
  rowLimit: number | undefined
  copy: CopyFacts | undefined
  runs: SqlStatementFacts['runs']
  transaction: SqlStatementFacts['transaction']
  private isConservative = false
  private namesUnknownType = false
  private functionEffects = false
  private readonly tables = new Map<string, { schema?: string; table: string; modes: Set<TableAccessMode> }>()
  private readonly columns = new Map<string, ColumnAccess>()
  private readonly functions = new Map<string, FunctionCall>()
  private readonly launders = new Map<string, ColumnSource>()
  private readonly effects: SessionEffect[] = []

  raise(to: SqlClass): void {
    this.class = worstClass(this.class, to)
  }

  /** The statement may do less than is noted here, or more than can be seen. */
  doubt(): void {
    this.isConservative = true
  }

  table(schema: string | undefined, table: string, mode: TableAccessMode): void {
    const key = `${schema ?? ''}\0${table}`
    const known = this.tables.get(key)
    if (known !== undefined) known.modes.add(mode)
    else {
      const modes = new Set([mode])
      this.tables.set(key, schema === undefined ? { table, modes } : { schema, table, modes })
    }
  }

  column(source: ColumnSource, mode: ColumnAccess['mode']): void {
    const key = `${mode}\0${sourceKey(source)}`
    if (!this.columns.has(key)) this.columns.set(key, { ...source, mode })
  }

  function(schema: string | undefined, name: string, judgement: FunctionJudgement): void {
    const { volatility, hazards } = judgement
    this.raise(judgement.class)
    this.functionClass = worstClass(this.functionClass, judgement.class)
    // A body nobody has seen may run anything in the session's name.
    if (volatility === 'unknown') this.doubt()
    if (volatility === 'unknown' || hazards.includes('setting') || hazards.includes('dynamic-sql')) {
      this.effect(UNKNOWN_EFFECT)
      this.functionEffects = true
    }
    if (hazards.includes('dynamic-sql')) this.isDynamic = true
    if (hazards.includes('file')) this.touchesFiles = true
    if (hazards.includes('program')) this.touchesPrograms = true
    const key = `${schema ?? ''}\0${name}`
    if (this.functions.has(key)) return
    const call = { name, volatility, hazards }
    this.functions.set(key, schema === undefined ? call : { schema, ...call })
  }

  /** A cast to it runs code that nobody has seen. */
  unknownType(): void {
    this.namesUnknownType = true
    this.raise('unknown')
    this.doubt()
  }

  launder(sources: Sources, except?: ColumnSource): void {
    const own = except === undefined ? undefined : sourceKey(except)
    for (const source of sources === 'unknown' ? [EVERYTHING] : sources) {
      const key = sourceKey(source)
      if (key !== own) this.launders.set(key, source)
    }
  }

  effect(effect: SessionEffect): void {
    if (effect.kind === 'unknown' && this.effects.some((known) => known.kind === 'unknown')) return
    this.effects.push(effect)
  }

  unknownEffect(): void {
    this.effect(UNKNOWN_EFFECT)
  }

  /** Takes over what an inner statement does, when the outer one runs it, or will. */
  include(inner: Collector): void {
    this.includeNames(inner, undefined)
    this.raise(inner.class)
    this.touchesFiles ||= inner.touchesFiles
    this.touchesPrograms ||= inner.touchesPrograms
    this.isDynamic ||= inner.isDynamic
    for (const [key, source] of inner.launders) this.launders.set(key, source)
    for (const effect of inner.effects) this.effect(effect)
    this.runs ??= inner.runs
  }

  /** Takes over an inner statement that is planned and not run: its tables are read, its functions may be evaluated. */
  includePlanned(inner: Collector): void {
    this.includeNames(inner, 'read')
    this.raise(inner.namesUnknownType ? 'unknown' : inner.functionClass)
    this.isDynamic ||= inner.isDynamic
    if (inner.functionEffects) this.unknownEffect()
    this.runs ??= inner.runs
  }

  /** Takes over what a definition names. `evaluates`: its expressions run now, over rows that are there already. */
  includeDefinition(inner: Collector, options: { readonly evaluates: boolean }): void {
    this.includeNames(inner, undefined)
    if (!options.evaluates) return
    this.raise(inner.functionClass)
    if (inner.functionEffects) this.unknownEffect()
  }

  facts(verb: string, output: SqlStatementFacts['output']): SqlStatementFacts {
    const tables: TableAccess[] = [...this.tables.values()].map((table) => ({ ...table, modes: [...table.modes] }))
    const certainty: Certainty = this.isConservative ? 'conservative' : 'exact'
    return {
      verb,
      class: this.class,
      certainty,
      tables,
      columns: [...this.columns.values()],
      functions: [...this.functions.values()],
      output,
      hasWhere: this.hasWhere,
      ...(this.rowLimit === undefined ? {} : { rowLimit: this.rowLimit }),
      touchesFiles: this.touchesFiles,
      touchesPrograms: this.touchesPrograms,
      isDynamic: this.isDynamic,
      launders: [...this.launders.values()],
      effects: this.effects,
      ...(this.copy === undefined ? {} : { copy: this.copy }),
      ...(this.runs === undefined ? {} : { runs: this.runs }),
      ...(this.transaction === undefined ? {} : { transaction: this.transaction }),
    }
  }

  private includeNames(inner: Collector, onlyMode: TableAccessMode | undefined): void {
    if (inner.isConservative) this.isConservative = true
    if (inner.isLiteralDependent) this.isLiteralDependent = true
    if (!inner.hasWhere) this.hasWhere = false
    for (const { schema, table, modes } of inner.tables.values()) {
      for (const mode of onlyMode === undefined ? modes : [onlyMode]) this.table(schema, table, mode)
    }
    for (const [key, column] of inner.columns) this.columns.set(key, column)
    for (const [key, call] of inner.functions) this.functions.set(key, call)
    this.functionClass = worstClass(this.functionClass, inner.functionClass)
    this.functionEffects ||= inner.functionEffects
  }
}

/** What a statement returns: see {@link SqlStatementFacts.output}. */
export type Output = readonly OutputColumn[] | 'unknown' | undefined
