import { SallyportError, type SqlAnalyzer, type SqlFacts, unparsedFacts } from '../core/index.js'

/** The reading of a text by an analyzer that failed. */
const UNKNOWN_FACTS: SqlFacts = Object.freeze(unparsedFacts('the analyzer failed'))

/** An analyzer that keeps the promise never to throw, whatever `analyzer` does. */
export function guardAnalyzer(analyzer: SqlAnalyzer): SqlAnalyzer {
  return {
    dialect: analyzer.dialect,
    analyze(text, state) {
      try {
        return analyzer.analyze(text, state)
      } catch {
        // Fails closed: `unparsed` is refused unless a rule says otherwise by name.
        return UNKNOWN_FACTS
      }
    },
  }
}

/** @throws SallyportError `invalid_option` when there is no analyzer for this protocol */
export function analyzerFor(analyzers: ReadonlyMap<string, SqlAnalyzer>, protocol: string): SqlAnalyzer {
  const analyzer = analyzers.get(protocol)
  if (analyzer !== undefined) return analyzer
  throw new SallyportError('invalid_option', `expected an analyzer for protocol \`${protocol}\`, got none`)
}
