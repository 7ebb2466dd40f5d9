import type { ColumnMaskSpec, ColumnSource, MaskStrategy, ResultColumn } from '../core/index.js'
import { REDACT, stricter } from './strategies.js'

/** How far a mask's names and a source agree. `possible`: only because a part of the source is not known. */
type Agreement = 'no' | 'possible' | 'exact'

type NameTest = (name: string | undefined) => Agreement

/** A column mask with its names ready to be compared. */
export interface CompiledSpec {
  readonly strategy: MaskStrategy
  readonly schema: NameTest
  readonly table: NameTest
  readonly column: NameTest
}

export function compileSpec(spec: ColumnMaskSpec): CompiledSpec {
  return {
    strategy: spec.strategy,
    schema: nameTest(spec.schema),
    table: nameTest(spec.table),
    column: nameTest(spec.column),
  }
}

function nameTest(pattern: string | undefined): NameTest {
  if (pattern === undefined || pattern === '*') return () => 'exact'
  const matches = pattern.includes('*') ? glob(pattern) : (name: string) => name === pattern
  return (name) => (name === undefined ? 'possible' : matches(name) ? 'exact' : 'no')
}

/** Runs of `*` stand for anything. No regular expression: names may hold whatever a server lets them. */
function glob(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*')
  const first = parts[0] as string
  const last = parts[parts.length - 1] as string
  const middle = parts.slice(1, -1)
  return (name) => {
    if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
    let at = first.length
    for (const part of middle) {
      const found = name.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return at <= name.length - last.length
  }
}

/** The strategy for a result column, or undefined when no column mask concerns it. */
export function strategyFor(column: ResultColumn, specs: readonly CompiledSpec[]): MaskStrategy | undefined {
  let chosen: MaskStrategy | undefined
  for (const spec of specs) {
    const agreement = agreementWith(column, spec)
    if (agreement === 'no') continue
    // Of a value that is only made from the column nobody knows which part is which: all of it goes.
    const isWhole = agreement === 'exact' || spec.strategy.kind === 'null'
    chosen = stricter(chosen, isWhole ? spec.strategy : REDACT)
  }
  return chosen
}

function agreementWith(column: ResultColumn, spec: CompiledSpec): Agreement {
  const { origin, origins, sources } = column
  let agreement: Agreement = origin === undefined ? 'no' : agree(origin, spec)
  for (const same of origins ?? []) {
    if (agreement === 'exact') break
    const found = agree(same, spec)
    if (found !== 'no') agreement = found
  }
  if (origin !== undefined || agreement === 'exact') return agreement
  if (sources === 'unknown') return 'possible'
  return sources.some((source) => agree(source, spec) !== 'no') ? 'possible' : agreement
}

/** How far a mask's names and this source agree. */
export function agree(source: ColumnSource, spec: CompiledSpec): Agreement {
  if (holdsSamples(source)) return 'possible'
  const schema = spec.schema(source.schema)
  const table = spec.table(source.table)
  const column = source.column === '*' ? 'possible' : spec.column(source.column)
  if (schema === 'no' || table === 'no' || column === 'no') return 'no'
  return schema === 'exact' && table === 'exact' && column === 'exact' ? 'exact' : 'possible'
}

/** Columns of the catalogue in which ANALYZE keeps values of every table. */
const SAMPLES = /^(?:\*|stavalues\d|most_common_|histogram_bounds|range_|stxdmcv|stxdexpr)/

/** Whether this is a place where the server itself puts values of other tables: its statistics, and long values. */
function holdsSamples({ schema, table, column }: ColumnSource): boolean {
  if (schema === 'pg_toast') return column === 'chunk_data' || column === '*'
  if (table === undefined || (schema !== undefined && schema !== 'pg_catalog')) return false
  return /^pg_(?:stats|statistic)/.test(table) && SAMPLES.test(column)
}
