import {
  SallyportError,
  type ShellAnalyzer,
  type ShellFacts,
  type SqlAnalyzer,
  type SqlFacts,
  unparsedFacts,
} from '../core/index.js'

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

/** Nothing of these may be relied on: they name what they know, which is nothing. */
function unparsedShellFacts(problem: string): ShellFacts {
  return Object.freeze({
    certainty: 'unparsed',
    problem,
    commands: [],
    files: [],
    network: [],
    isPrivileged: false,
    hazards: [],
  } as const)
}

const UNREAD_LINE = unparsedShellFacts('there is no analyzer for command lines')
const UNKNOWN_LINE = unparsedShellFacts('the analyzer failed')

/** An analyzer that keeps the promise never to throw. Without one every line is `unparsed`. */
export function guardShellAnalyzer(analyzer: ShellAnalyzer | undefined): ShellAnalyzer {
  return {
    analyze(text, reading) {
      // Fails closed, here and below: `unparsed` is refused unless a rule says otherwise by name.
      if (analyzer === undefined) return UNREAD_LINE
      try {
        return analyzer.analyze(text, reading)
      } catch {
        return UNKNOWN_LINE
      }
    },
  }
}
