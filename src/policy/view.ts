import type {
  Certainty,
  Command,
  DecisionContext,
  SqlClass,
  SqlCommand,
  SqlFacts,
  SqlStatementFacts,
} from '../core/index.js'
import { parseSearchPath } from './search-path.js'

/**
 * What matchers look at: one statement of a command, with what is true of the whole command.
 * A command of several statements is judged statement by statement.
 */
export interface View {
  readonly kind: string
  readonly protocol: string
  /** These three only of SQL. Not the command itself: views are kept, and bound values must not be. */
  readonly dialect: SqlCommand['dialect'] | undefined
  readonly phase: SqlCommand['phase'] | undefined
  readonly certainty: Certainty | undefined
  readonly subject: DecisionContext['subject']
  readonly resource: DecisionContext['resource']
  readonly text: string | undefined
  /** Undefined for commands that are not SQL, and for SQL that could not be parsed. */
  readonly sql: SqlView | undefined
  /** Set anew before every look at the clock. */
  nowUnixMs: number
}

export interface SqlView {
  readonly statement: StatementFacts
  readonly isExact: boolean
  /** The statement's own verb, and those of the writes inside it. */
  readonly verbs: readonly string[]
  /** The statement's own class, and those of the writes and definitions inside it. */
  readonly classes: readonly SqlClass[]
  /** Undefined where an unqualified name could be anywhere. */
  readonly searchPath: readonly string[] | undefined
}

export type StatementFacts = Pick<
  SqlStatementFacts,
  | 'verb'
  | 'class'
  | 'tables'
  | 'columns'
  | 'functions'
  | 'hasWhere'
  | 'output'
  | 'rowLimit'
  | 'touchesFiles'
  | 'touchesPrograms'
  | 'isDynamic'
  | 'launders'
>

/** Whether the facts of a command may be used at all. */
export function isUnparsed(facts: SqlFacts): boolean {
  return facts.certainty === 'unparsed' || facts.statements.some((statement) => statement.certainty === 'unparsed')
}

/** One view per statement; one in all for a command without any. */
export function viewsOf(context: DecisionContext): readonly View[] {
  const { command, subject, resource, nowUnixMs } = context
  const sqlCommand = command.kind === 'sql' ? command : undefined
  const common = {
    kind: command.kind,
    protocol: command.protocol,
    dialect: sqlCommand?.dialect,
    phase: sqlCommand?.phase,
    certainty:
      sqlCommand === undefined ? undefined : isUnparsed(sqlCommand.facts) ? 'unparsed' : sqlCommand.facts.certainty,
    subject,
    resource,
    text: textOf(command),
    nowUnixMs,
  } as const
  if (sqlCommand === undefined || isUnparsed(sqlCommand.facts)) return [{ ...common, sql: undefined }]
  const { facts, state } = sqlCommand
  // A statement may change where the names of the next one are looked up.
  const isPathKnown = sqlCommand.dialect === 'postgres' && !(facts.statements.length > 1 && facts.mayChangeSession)
  const searchPath = isPathKnown ? parseSearchPath(state.searchPath) : undefined
  const statements: readonly (StatementFacts & { certainty?: unknown })[] =
    facts.statements.length === 0 ? [emptyStatement(facts)] : facts.statements
  return statements.map((statement) => ({
    ...common,
    sql: {
      statement,
      isExact: facts.certainty === 'exact' && (statement.certainty ?? 'exact') === 'exact',
      verbs: verbsOf(statement),
      classes: classesOf(statement),
      searchPath,
    },
  }))
}

/** Plug-ins' commands are matched by their text where they have one. */
function textOf(command: Command): string | undefined {
  const { text } = command as { readonly text?: unknown }
  return typeof text === 'string' ? text : undefined
}

function emptyStatement(facts: SqlFacts): StatementFacts {
  return { ...facts, verb: facts.verbs[0] ?? '', output: undefined }
}

function verbsOf(statement: StatementFacts): readonly string[] {
  const verbs = new Set([statement.verb])
  for (const table of statement.tables) {
    for (const mode of table.modes) if (isWrite(mode)) verbs.add(mode)
  }
  return [...verbs]
}

function classesOf(statement: StatementFacts): readonly SqlClass[] {
  const classes = new Set<SqlClass>([statement.class])
  for (const table of statement.tables) {
    for (const mode of table.modes) {
      if (isWrite(mode)) classes.add('write')
      if (mode === 'ddl') classes.add('ddl')
    }
  }
  return [...classes]
}

function isWrite(mode: string): boolean {
  return mode === 'insert' || mode === 'update' || mode === 'delete' || mode === 'truncate'
}
