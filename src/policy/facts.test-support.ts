import type {
  BoundValue,
  ColumnAccess,
  DecisionContext,
  FunctionCall,
  Resource,
  SqlClass,
  SqlCommand,
  SqlFacts,
  SqlSessionState,
  SqlStatementFacts,
  Subject,
  TableAccess,
  TableAccessMode,
} from '../core/index.js'

/** Facts and contexts for tests, written the short way. */

export const AGENT: Subject = { id: 'agent-7', type: 'agent', groups: ['agents'] }
export const ORDERS_DB: Resource = { name: 'orders-db', protocol: 'postgres', tags: { env: 'prod' } }
/** Friday 20 November 2026, 10:00 UTC. */
export const NOW = Date.UTC(2026, 10, 20, 10)

export function table(name: string, ...modes: readonly TableAccessMode[]): TableAccess {
  const [first = '', second] = name.split('.')
  const list = modes.length === 0 ? (['read'] as const) : modes
  return second === undefined ? { table: first, modes: list } : { schema: first, table: second, modes: list }
}

export function column(name: string, mode: ColumnAccess['mode'] = 'read'): ColumnAccess {
  const parts = name.split('.')
  const [last = '', middle, first] = parts.toReversed()
  return {
    ...(first === undefined ? {} : { schema: first }),
    ...(middle === undefined ? {} : { table: middle }),
    column: last,
    mode,
  }
}

export function call(name: string, options: Partial<FunctionCall> = {}): FunctionCall {
  return { name, volatility: 'volatile', hazards: [], ...options }
}

export function statement(verb: string, options: Partial<SqlStatementFacts> = {}): SqlStatementFacts {
  return {
    verb,
    class: classOf(verb),
    certainty: 'exact',
    tables: [],
    columns: [],
    functions: [],
    output: verb === 'select' ? [] : undefined,
    hasWhere: true,
    touchesFiles: false,
    touchesPrograms: false,
    isDynamic: false,
    launders: [],
    effects: [],
    ...options,
  }
}

function classOf(verb: string): SqlClass {
  const [head = ''] = verb.split(' ')
  if (['insert', 'update', 'delete', 'truncate'].includes(head)) return 'write'
  if (['create', 'drop', 'alter'].includes(head)) return 'ddl'
  if (['grant', 'revoke'].includes(head)) return 'dcl'
  if (['begin', 'commit'].includes(head)) return 'transaction'
  return head === 'set' ? 'session' : 'read'
}

export function factsOf(statements: readonly SqlStatementFacts[], options: Partial<SqlFacts> = {}): SqlFacts {
  return {
    certainty: statements.some((each) => each.certainty === 'conservative') ? 'conservative' : 'exact',
    statements,
    class: statements[0]?.class ?? 'read',
    verbs: statements.map((each) => each.verb),
    tables: statements.flatMap((each) => each.tables),
    columns: statements.flatMap((each) => each.columns),
    functions: statements.flatMap((each) => each.functions),
    hasWhere: statements.every((each) => each.hasWhere),
    touchesFiles: statements.some((each) => each.touchesFiles),
    touchesPrograms: statements.some((each) => each.touchesPrograms),
    isDynamic: statements.some((each) => each.isDynamic),
    launders: statements.flatMap((each) => each.launders),
    mayChangeSession: statements.some((each) => each.class === 'session'),
    shape: '',
    ...options,
  }
}

export const UNPARSED: SqlFacts = factsOf([], { certainty: 'unparsed', class: 'unknown', hasWhere: false })

export interface ContextOptions {
  readonly subject?: Subject
  readonly resource?: Resource
  readonly text?: string
  readonly phase?: 'prepare' | 'execute'
  readonly dialect?: SqlCommand['dialect']
  readonly state?: Partial<SqlSessionState>
  readonly parameters?: readonly BoundValue[]
  readonly nowUnixMs?: number
}

export function contextOf(
  facts: SqlFacts | SqlStatementFacts | readonly SqlStatementFacts[],
  options: ContextOptions = {},
): DecisionContext {
  const whole = isFacts(facts) ? facts : factsOf(isList(facts) ? facts : [facts])
  return {
    command: {
      id: 1,
      kind: 'sql',
      protocol: 'postgres',
      dialect: options.dialect ?? 'postgres',
      phase: options.phase ?? 'execute',
      via: 'Query',
      text: options.text ?? whole.verbs.join('; '),
      parameters: options.parameters ?? [],
      facts: whole,
      state: { standardConformingStrings: true, clientEncoding: 'UTF8', ...options.state },
      transaction: 'idle',
      transactionSerial: 0,
    },
    subject: options.subject ?? AGENT,
    resource: options.resource ?? ORDERS_DB,
    session: { id: 's1', startedAtUnixMs: NOW },
    nowUnixMs: options.nowUnixMs ?? NOW,
  }
}

function isFacts(value: object): value is SqlFacts {
  return 'statements' in value
}

function isList(value: SqlStatementFacts | readonly SqlStatementFacts[]): value is readonly SqlStatementFacts[] {
  return Array.isArray(value)
}
