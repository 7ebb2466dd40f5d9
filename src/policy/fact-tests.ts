import type { ColumnAccess, TableAccess } from '../core/index.js'
import { many, type Match } from './match.js'
import {
  isComplaint,
  mayMatch,
  mayMatchColumn,
  mustMatch,
  mustMatchColumn,
  mustMatchTableOf,
  type NamePattern,
  parseNamePattern,
} from './name-pattern.js'
import { WRITE_MODES } from './rule-shape.js'
import type { SqlView } from './view.js'

/**
 * How a matcher is read. `any`: the command may do something of this, in doubt yes (prohibitions).
 * `only`: the command certainly does this and nothing else of the sort, in doubt no (permissions).
 */
export type Reading = 'any' | 'only'

export type SqlTest = (sql: SqlView, reading: Reading) => boolean

/** What only the analysis of the command can tell. */
export function factTests(match: Match, isPermission: boolean): readonly SqlTest[] {
  const tests: SqlTest[] = []
  const tables = tableEntries(match)
  const columns = columnEntries(match)
  if (match.verbs !== undefined) {
    const isOne = verbTest(many(match.verbs))
    tests.push(({ verbs }, reading) => (reading === 'any' ? verbs.some(isOne) : verbs.every(isOne)))
  }
  if (match.classes !== undefined) {
    const classes = new Set<string>(many(match.classes))
    tests.push(({ classes: named }, reading) =>
      reading === 'any'
        ? named.some((name) => classes.has(name) || name === 'unknown')
        : named.every((name) => classes.has(name)),
    )
  }
  if (tables.length > 0) {
    tests.push(({ statement, searchPath }, reading) =>
      reading === 'any'
        ? statement.tables.some((access) => tables.some((entry) => mayAccess(entry, access)))
        : (statement.tables.length > 0 || !isPermission) &&
          statement.tables.every((access) => mustAccess(tables, access, searchPath)),
    )
  }
  if (columns.length > 0) {
    const hasTables = tables.length > 0
    tests.push((sql, reading) => {
      const { statement, searchPath } = sql
      if (reading === 'any') return statement.columns.some((access) => columns.some((entry) => mayUse(entry, access)))
      if (!statement.columns.every((access) => columns.some((entry) => mustUse(entry, access, searchPath))))
        return false
      // A table may be used without naming a column of it (DELETE, count(*)): that is to be permitted too.
      return hasTables || !isPermission || (statement.columns.length > 0 && columnsCoverTables(columns, sql))
    })
  }
  if (match.functions !== undefined) {
    const patterns = many(match.functions).map((source) => pattern(source, 2))
    tests.push(({ statement }, reading) =>
      reading === 'any'
        ? statement.functions.some((call) => patterns.some((entry) => mayMatch(entry, call.schema, call.name)))
        : statement.functions.every((call) =>
            patterns.some((entry) => mustMatch(entry, call.schema, call.name, undefined)),
          ),
    )
  }
  if (match.functionHazards !== undefined) {
    const hazards = new Set<string>(many(match.functionHazards))
    tests.push(({ statement }, reading) =>
      reading === 'any'
        ? statement.functions.some((call) => call.hazards.some((hazard) => hazards.has(hazard)))
        : statement.functions.every((call) => call.hazards.every((hazard) => hazards.has(hazard))),
    )
  }
  if (match.launders !== undefined) {
    const patterns = many(match.launders).map((source) => pattern(source, 3))
    tests.push(({ statement, searchPath }, reading) =>
      reading === 'any'
        ? statement.launders.some((source) => patterns.some((entry) => mayMatchColumn(entry, source)))
        : statement.launders.every((source) => patterns.some((entry) => mustMatchColumn(entry, source, searchPath))),
    )
  }
  pushFlag(tests, match.missingWhere, ({ statement }) => !statement.hasWhere)
  pushFlag(tests, match.isDynamic, ({ statement }) => statement.isDynamic)
  pushFlag(tests, match.touchesFiles, ({ statement }) => statement.touchesFiles)
  pushFlag(tests, match.touchesPrograms, ({ statement }) => statement.touchesPrograms)
  pushFlag(
    tests,
    match.noRowLimit,
    ({ statement }) => statement.output !== undefined && statement.rowLimit === undefined,
  )
  const { rowLimitOver } = match
  if (rowLimitOver !== undefined) {
    pushFlag(
      tests,
      true,
      ({ statement }) =>
        statement.output !== undefined && (statement.rowLimit ?? Number.POSITIVE_INFINITY) > rowLimitOver,
    )
  }
  // A permission names something the statement must do: a list that nothing is outside of is not enough alone.
  const namesNothing =
    match.verbs === undefined && match.classes === undefined && tables.length === 0 && columns.length === 0
  if (isPermission && namesNothing && (match.functions ?? match.functionHazards ?? match.launders) !== undefined) {
    tests.push(
      ({ statement }, reading) => reading === 'any' || statement.functions.length + statement.launders.length > 0,
    )
  }
  return tests
}

/** A harm that conservative facts may claim too often, and never leave out. */
function pushFlag(tests: SqlTest[], wanted: boolean | undefined, isClaimed: (sql: SqlView) => boolean): void {
  if (wanted === undefined) return
  tests.push((sql, reading) => {
    const claimed = isClaimed(sql)
    if (wanted) return claimed && (reading === 'any' || sql.isExact)
    return !claimed || (reading === 'any' && !sql.isExact)
  })
}

function verbTest(wanted: readonly string[]): (verb: string) => boolean {
  const verbs = wanted.map((verb) => verb.toLowerCase())
  return (verb) => verbs.some((entry) => verb === entry || (verb.startsWith(entry) && verb[entry.length] === ' '))
}

interface TableEntry {
  readonly pattern: NamePattern
  readonly modes: ReadonlySet<string> | undefined
}

export function tableEntries(match: Match): readonly TableEntry[] {
  return many(match.tables).flatMap((entry) => {
    if (typeof entry === 'string') return [{ pattern: pattern(entry, 2), modes: undefined }]
    const modes = many(entry.access).flatMap((mode) => (mode === 'write' ? WRITE_MODES : [mode]))
    return many(entry.tables).map((source) => ({
      pattern: pattern(source, 2),
      modes: entry.access === undefined ? undefined : new Set<string>(modes),
    }))
  })
}

/** Modes that are not told may be any. */
function mayAccess(entry: TableEntry, access: TableAccess): boolean {
  const { modes } = entry
  if (modes !== undefined && access.modes.length > 0 && !access.modes.some((mode) => modes.has(mode))) return false
  return mayMatch(entry.pattern, access.schema, access.table)
}

function mustAccess(
  entries: readonly TableEntry[],
  access: TableAccess,
  searchPath: readonly string[] | undefined,
): boolean {
  const named = entries.filter((entry) => mustMatch(entry.pattern, access.schema, access.table, searchPath))
  if (access.modes.length === 0) return named.some((entry) => entry.modes === undefined)
  return access.modes.every((mode) => named.some((entry) => entry.modes === undefined || entry.modes.has(mode)))
}

interface ColumnEntry {
  readonly pattern: NamePattern
  readonly modes: ReadonlySet<string> | undefined
}

export function columnEntries(match: Match): readonly ColumnEntry[] {
  return many(match.columns).flatMap((entry) =>
    typeof entry === 'string'
      ? [{ pattern: pattern(entry, 3), modes: undefined }]
      : many(entry.columns).map((source) => ({
          pattern: pattern(source, 3),
          modes: entry.access === undefined ? undefined : new Set<string>(many(entry.access)),
        })),
  )
}

function mayUse(entry: ColumnEntry, access: ColumnAccess): boolean {
  return (entry.modes === undefined || entry.modes.has(access.mode)) && mayMatchColumn(entry.pattern, access)
}

function mustUse(entry: ColumnEntry, access: ColumnAccess, searchPath: readonly string[] | undefined): boolean {
  return (
    (entry.modes === undefined || entry.modes.has(access.mode)) && mustMatchColumn(entry.pattern, access, searchPath)
  )
}

function columnsCoverTables(entries: readonly ColumnEntry[], { statement, searchPath }: SqlView): boolean {
  return statement.tables.every((table) =>
    entries.some((entry) => mustMatchTableOf(entry.pattern, table.schema, table.table, searchPath)),
  )
}

function pattern(source: string, maxParts: number): NamePattern {
  const parsed = parseNamePattern(source, maxParts)
  // INVARIANT: matches are validated before they are compiled.
  return isComplaint(parsed) ? { source, parts: [] } : parsed
}
