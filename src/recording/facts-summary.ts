import type { SqlFacts } from '../core/index.js'

/** A record names at most this many tables and functions of one command; how many more there were is said. */
const MAX_NAMES = 64

/** What of the facts is worth keeping for ever: what the decision can be understood by, never a literal. */
export function summariseFacts(facts: SqlFacts): Record<string, unknown> {
  const summary: Record<string, unknown> = { class: facts.class, certainty: facts.certainty }
  if (facts.problem !== undefined) summary['problem'] = facts.problem
  if (facts.verbs.length > 0) summary['verbs'] = facts.verbs.slice(0, MAX_NAMES)
  if (facts.tables.length > 0) {
    summary['tables'] = facts.tables.slice(0, MAX_NAMES).map((access) => ({
      ...(access.schema === undefined ? {} : { schema: access.schema }),
      table: access.table,
      modes: access.modes,
    }))
  }
  // Built-in functions that only compute say nothing about what a command did.
  const functions = facts.functions.filter(
    (call) => call.hazards.length > 0 || call.volatility === 'volatile' || call.volatility === 'unknown',
  )
  if (functions.length > 0) {
    summary['functions'] = functions
      .slice(0, MAX_NAMES)
      .map((call) => (call.schema === undefined ? call.name : `${call.schema}.${call.name}`))
  }
  const omitted = Math.max(0, facts.tables.length - MAX_NAMES) + Math.max(0, functions.length - MAX_NAMES)
  if (omitted > 0) summary['omitted'] = omitted
  if (!facts.hasWhere) summary['hasWhere'] = false
  if (facts.touchesFiles) summary['touchesFiles'] = true
  if (facts.touchesPrograms) summary['touchesPrograms'] = true
  if (facts.isDynamic) summary['isDynamic'] = true
  if (facts.launders.length > 0) summary['launders'] = true
  return summary
}
