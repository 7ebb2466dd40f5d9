import type { Certainty, ColumnSource, SqlClass, SqlFacts, SqlStatementFacts, TableAccess } from './sql-facts.js'

/** From harmless to harmful: where it stands in this list decides which of two classes a command has. */
export const SQL_CLASSES = [
  'read',
  'transaction',
  'session',
  'write',
  'procedural',
  'ddl',
  'dcl',
  'admin',
  'unknown',
] as const satisfies readonly SqlClass[]

/** The more harmful of two classes. */
export function worstClass(a: SqlClass, b: SqlClass): SqlClass {
  return SQL_CLASSES.indexOf(a) >= SQL_CLASSES.indexOf(b) ? a : b
}

export function leastCertain(a: Certainty, b: Certainty): Certainty {
  if (a === 'unparsed' || b === 'unparsed') return 'unparsed'
  return a === 'exact' && b === 'exact' ? 'exact' : 'conservative'
}

/** Ends of a transaction: they take back settings, and close cursors. */
const ENDS_TRANSACTION: ReadonlySet<string> = new Set(['commit', 'rollback', 'rollback-to', 'prepare'])

/** The facts of a command as the union of its statements' facts. */
export function combineStatementFacts(statements: readonly SqlStatementFacts[], shape: string): SqlFacts {
  const only = statements.length === 1 ? statements[0] : undefined
  const certainty = statements.reduce<Certainty>((least, next) => leastCertain(least, next.certainty), 'exact')
  const harm = statements.reduce<SqlClass>((worst, next) => worstClass(worst, next.class), 'read')
  return {
    certainty,
    statements,
    class: certainty === 'unparsed' ? 'unknown' : harm,
    verbs: statements.map((statement) => statement.verb),
    tables: only?.tables ?? mergeTables(statements),
    columns: only?.columns ?? unique(statements, 'columns', (column) => `${column.mode}\0${sourceKey(column)}`),
    functions: only?.functions ?? unique(statements, 'functions', (call) => `${call.schema ?? ''}\0${call.name}`),
    hasWhere: statements.every((statement) => statement.hasWhere),
    touchesFiles: statements.some((statement) => statement.touchesFiles),
    touchesPrograms: statements.some((statement) => statement.touchesPrograms),
    isDynamic: statements.some((statement) => statement.isDynamic),
    launders: only?.launders ?? unique(statements, 'launders', sourceKey),
    mayChangeSession: statements.some(
      (statement) => statement.effects.length > 0 || ENDS_TRANSACTION.has(statement.transaction ?? ''),
    ),
    shape,
  }
}

/** Facts of which nothing may be relied on: what policy denies unless a rule says otherwise by name. */
export function unparsedFacts(problem: string, shape = ''): SqlFacts {
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
    shape,
  }
}

function sourceKey({ schema, table, column }: ColumnSource): string {
  return `${schema ?? ''}\0${table ?? ''}\0${column}`
}

function unique<Key extends 'columns' | 'functions' | 'launders'>(
  statements: readonly SqlStatementFacts[],
  part: Key,
  keyOf: (item: SqlStatementFacts[Key][number]) => string,
): SqlStatementFacts[Key][number][] {
  const found = new Map<string, SqlStatementFacts[Key][number]>()
  for (const statement of statements) {
    for (const item of statement[part]) if (!found.has(keyOf(item))) found.set(keyOf(item), item)
  }
  return [...found.values()]
}

function mergeTables(statements: readonly SqlStatementFacts[]): readonly TableAccess[] {
  const found = new Map<string, TableAccess>()
  for (const statement of statements) {
    for (const table of statement.tables) {
      const key = `${table.schema ?? ''}\0${table.table}`
      const known = found.get(key)
      const modes = known === undefined ? table.modes : [...new Set([...known.modes, ...table.modes])]
      found.set(key, { ...table, modes })
    }
  }
  return [...found.values()]
}
