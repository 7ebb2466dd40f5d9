import type { Certainty, SqlClass, SqlFacts, SqlStatementFacts } from './sql-facts.js'

/** From harmless to harmful: where it stands in this list decides which of two classes a command has. */
export const SQL_CLASSES: readonly SqlClass[] = [
  'read',
  'transaction',
  'session',
  'write',
  'procedural',
  'ddl',
  'dcl',
  'admin',
  'unknown',
]

export function worstClass(a: SqlClass, b: SqlClass): SqlClass {
  return SQL_CLASSES.indexOf(a) >= SQL_CLASSES.indexOf(b) ? a : b
}

export function leastCertain(a: Certainty, b: Certainty): Certainty {
  if (a === 'unparsed' || b === 'unparsed') return 'unparsed'
  return a === 'exact' && b === 'exact' ? 'exact' : 'conservative'
}

/** The facts of a command as the union of its statements' facts. */
export function combineStatementFacts(statements: readonly SqlStatementFacts[], shape: string): SqlFacts {
  let certainty: Certainty = 'exact'
  let sqlClass: SqlClass = 'read'
  let mayChangeSession = false
  for (const statement of statements) {
    certainty = leastCertain(certainty, statement.certainty)
    sqlClass = worstClass(sqlClass, statement.class)
    if (statement.effects.length > 0) mayChangeSession = true
  }
  if (certainty === 'unparsed') sqlClass = 'unknown'
  return {
    certainty,
    statements,
    class: sqlClass,
    verbs: [...new Set(statements.map((statement) => statement.verb))],
    tables: statements.flatMap((statement) => statement.tables),
    columns: statements.flatMap((statement) => statement.columns),
    functions: statements.flatMap((statement) => statement.functions),
    hasWhere: statements.every((statement) => statement.hasWhere),
    touchesFiles: statements.some((statement) => statement.touchesFiles),
    touchesPrograms: statements.some((statement) => statement.touchesPrograms),
    isDynamic: statements.some((statement) => statement.isDynamic),
    launders: statements.flatMap((statement) => statement.launders),
    mayChangeSession,
    shape,
  }
}

/** Facts of which nothing may be relied on: what policy denies unless a rule says otherwise by name. */
export function unparsedFacts(problem: string): SqlFacts {
  return {
    certainty: 'unparsed',
    problem,
    statements: [],
    class: 'unknown',
    verbs: [],
    tables: [],
    columns: [],
    functions: [],
    hasWhere: false,
    touchesFiles: true,
    touchesPrograms: true,
    isDynamic: true,
    launders: [],
    mayChangeSession: true,
    shape: '',
  }
}
