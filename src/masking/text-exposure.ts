import type { SqlFacts, TableAccess, TextExposure } from '../core/index.js'
import { agree, type CompiledSpec } from './match-columns.js'

/**
 * What a server may quote of masked columns in its messages while it runs this command: `invalid input syntax for type
 * integer: "..."` quotes whatever the statement has made of a value, and no detector knows that again.
 */
export function textExposure(facts: SqlFacts, specs: readonly CompiledSpec[]): TextExposure {
  if (specs.length === 0) return 'none'
  // Fails closed: code that nobody has seen may read anything.
  const isOpaque =
    facts.certainty === 'unparsed' || facts.isDynamic || facts.functions.some((call) => call.volatility === 'unknown')
  if (isOpaque) return 'all'
  let exposure: TextExposure = 'none'
  for (const spec of specs) {
    for (const access of facts.columns) {
      if (agree(access, spec) === 'no') continue
      // What is only written is what the client itself has sent.
      if (access.mode !== 'write') return 'all'
      exposure = 'detail'
    }
    // `failing row contains (...)` has all columns of a row, also those that the statement leaves alone.
    if (facts.tables.some((table) => writes(table) && mayBe(table, spec))) exposure = 'detail'
  }
  // Constraints may be checked at the very end.
  const endsTransaction = facts.statements.some((statement) => statement.transaction === 'commit')
  return exposure === 'none' && endsTransaction ? 'detail' : exposure
}

function writes(table: TableAccess): boolean {
  return table.modes.some((mode) => mode !== 'read' && mode !== 'lock')
}

function mayBe(table: TableAccess, spec: CompiledSpec): boolean {
  return spec.table(table.table) !== 'no' && spec.schema(table.schema) !== 'no'
}
