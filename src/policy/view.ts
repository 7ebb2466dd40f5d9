import type {
  Certainty,
  Command,
  DecisionContext,
  SqlClass,
  SqlCommand,
  SqlFacts,
  SqlStatementFacts,
} from '../core/index.js'
import { channelViewsOf, isUnparsedLine, type ChannelView } from './channel-view.js'
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
  /** Set anew for another text with the same facts. */
  text: string | undefined
  /** Undefined for commands that are not SQL, and for SQL that could not be parsed. */
  readonly sql: SqlView | undefined
  /** Of shells, files and channels. Undefined for other kinds, and for command lines that could not be parsed. */
  readonly channel: ChannelView | undefined
  /** Harms that are known of a command line, also of one that could not be parsed. Empty for other kinds. */
  readonly hazards: readonly string[]
  /** Undefined for kinds that have no terminal. Known of every command line, parsed or not. */
  readonly hasTerminal: boolean | undefined
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

const NO_HAZARDS: readonly string[] = []

/** Whether a command has facts that may not be used. */
export function isUnparsedCommand(command: Command): boolean {
  if (command.kind === 'sql') return isUnparsed(command.facts)
  return command.kind === 'shell' && isUnparsedLine(command.facts)
}

/** Whether the facts of a command may be used at all. */
export function isUnparsed(facts: SqlFacts): boolean {
  return facts.certainty === 'unparsed' || facts.statements.some((statement) => statement.certainty === 'unparsed')
}

/** One view per statement or simple command; one in all for a command without any. */
export function viewsOf(context: DecisionContext): readonly View[] {
  const { command } = context
  if (command.kind !== 'sql') {
    const channels = channelViewsOf(command)
    if (channels === undefined) return [viewOf(context, undefined)]
    return channels.map((channel) => viewOf(context, undefined, channel))
  }
  if (isUnparsed(command.facts)) return [viewOf(context, undefined)]
  const { facts } = command
  // A statement may change where the names of the next one are looked up.
  const isPathKnown = command.dialect === 'postgres' && !(facts.statements.length > 1 && facts.mayChangeSession)
  const searchPath = isPathKnown ? parseSearchPath(command.state.searchPath) : undefined
  const isExact = facts.certainty === 'exact'
  if (facts.statements.length === 0) return [viewOf(context, sqlViewOf(emptyStatement(facts), isExact, searchPath))]
  return facts.statements.map((statement) =>
    viewOf(context, sqlViewOf(statement, isExact && statement.certainty === 'exact', searchPath)),
  )
}

function viewOf(
  { command, subject, resource, nowUnixMs }: DecisionContext,
  sql: SqlView | undefined,
  channel?: ChannelView,
): View {
  const isSql = command.kind === 'sql'
  return {
    kind: command.kind,
    protocol: command.protocol,
    dialect: isSql ? command.dialect : undefined,
    phase: isSql ? command.phase : undefined,
    certainty: isUnparsedCommand(command) ? 'unparsed' : certaintyOf(command),
    subject,
    resource,
    text: textOf(command),
    sql,
    channel,
    hazards: command.kind === 'shell' ? command.facts.hazards : NO_HAZARDS,
    hasTerminal: command.kind === 'shell' || command.kind === 'terminal' ? command.hasTerminal : undefined,
    nowUnixMs,
  }
}

function certaintyOf(command: Command): Certainty | undefined {
  return command.kind === 'sql' || command.kind === 'shell' ? command.facts.certainty : undefined
}

function sqlViewOf(statement: StatementFacts, isExact: boolean, searchPath: readonly string[] | undefined): SqlView {
  const verbs = [statement.verb]
  const classes = [statement.class]
  for (const { modes } of statement.tables) {
    for (const mode of modes) {
      if (mode === 'ddl') addOnce(classes, 'ddl')
      if (!isWrite(mode)) continue
      addOnce(verbs, mode)
      addOnce(classes, 'write')
    }
  }
  return { statement, isExact, verbs, classes, searchPath }
}

function addOnce<T>(list: T[], entry: T): void {
  if (!list.includes(entry)) list.push(entry)
}

/** Plug-ins' commands are matched by their text where they have one. */
function textOf(command: Command): string | undefined {
  const { text } = command as { readonly text?: unknown }
  return typeof text === 'string' ? text : undefined
}

function emptyStatement(facts: SqlFacts): StatementFacts {
  return { ...facts, verb: facts.verbs[0] ?? '', output: undefined }
}

function isWrite(mode: string): boolean {
  return mode === 'insert' || mode === 'update' || mode === 'delete' || mode === 'truncate'
}
