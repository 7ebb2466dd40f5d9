import type { ColumnAccess, TableAccess } from '../core/index.js'
import { compileGlob } from './glob.js'
import { many, type Match, type OneOrMany, type TextMatch } from './match.js'
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
import type { CompiledRegex, RegexEngine } from './regex-engine.js'
import { WRITE_MODES } from './rule-shape.js'
import { compileTime } from './time-window.js'
import type { SqlView, View } from './view.js'

/**
 * How a matcher is read. `any`: the command may do something of this, in doubt yes (prohibitions).
 * `only`: the command certainly does this and nothing else of the sort, in doubt no (permissions).
 */
export type Reading = 'any' | 'only'

export type Test = (view: View, reading: Reading) => boolean

type SqlTest = (sql: SqlView, reading: Reading) => boolean

export interface CompiledMatch {
  readonly test: Test
  /** Speaks of what only SQL commands have: the rule is about SQL commands. */
  readonly isAboutSql: boolean
  /** Speaks of what only the parse can tell. */
  readonly needsFacts: boolean
  readonly needsClock: boolean
}

/** Compiles patterns, each once per policy; remembers the answer for the text last asked about. */
export interface TextCompiler {
  compile(pattern: string, options: { readonly caseSensitive: boolean; readonly isWhole: boolean }): CompiledRegex
}

export function createTextCompiler(engine: RegexEngine): TextCompiler {
  const compiled = new Map<string, CompiledRegex>()
  return {
    compile(pattern, { caseSensitive, isWhole }) {
      const source = isWhole ? `\\A(?:${pattern})\\z` : pattern
      const key = `${caseSensitive}${source}`
      let found = compiled.get(key)
      if (found === undefined) {
        found = rememberingLast(engine.compile(source, { caseSensitive }))
        compiled.set(key, found)
      }
      return found
    },
  }
}

function rememberingLast(regex: CompiledRegex): CompiledRegex {
  let lastText: string | undefined
  let lastAnswer = false
  return {
    test(text) {
      if (text !== lastText) {
        lastAnswer = regex.test(text)
        lastText = text
      }
      return lastAnswer
    },
  }
}

export interface MatchOptions {
  readonly texts: TextCompiler
  /** A permission must be about something the command does; that nothing is outside an empty set permits nothing. */
  readonly isPermission: boolean
}

/** Compiles a validated match. */
export function compileMatch(match: Match, options: MatchOptions): CompiledMatch {
  const plain = plainTests(match, options.texts)
  const facts = factTests(match, options.isPermission)
  const inner = match.not === undefined ? undefined : compileMatch(match.not, options)
  const tests: Test[] = [...plain]
  if (match.dialects !== undefined) {
    const dialects = new Set<string>(many(match.dialects))
    tests.push(({ dialect }) => dialect !== undefined && dialects.has(dialect))
  }
  if (match.phases !== undefined) {
    const phases = new Set<string>(many(match.phases))
    tests.push(({ phase }) => phase !== undefined && phases.has(phase))
  }
  if (match.certainty !== undefined) {
    const certainties = new Set<string>(many(match.certainty))
    tests.push(({ certainty }) => certainty !== undefined && certainties.has(certainty))
  }
  if (facts.length > 0) {
    tests.push(({ sql }, reading) => {
      // Not parsed: it may do anything, and certainly does nothing.
      if (sql === undefined) return reading === 'any'
      for (const test of facts) if (!test(sql, reading)) return false
      return true
    })
  }
  if (inner !== undefined) tests.push((view, reading) => !inner.test(view, reading === 'any' ? 'only' : 'any'))
  return {
    test: allOf(tests),
    isAboutSql:
      facts.length > 0 ||
      match.dialects !== undefined ||
      match.phases !== undefined ||
      match.certainty !== undefined ||
      inner?.isAboutSql === true,
    needsFacts: facts.length > 0 || inner?.needsFacts === true,
    needsClock: match.time !== undefined || inner?.needsClock === true,
  }
}

function allOf(tests: readonly Test[]): Test {
  const [first, second] = tests
  if (first === undefined) return () => true
  if (second === undefined) return first
  if (tests.length === 2) return (view, reading) => first(view, reading) && second(view, reading)
  return (view, reading) => {
    for (const test of tests) if (!test(view, reading)) return false
    return true
  }
}

/** What is known of every command. */
function plainTests(match: Match, texts: TextCompiler): readonly Test[] {
  const tests: Test[] = []
  if (match.protocols !== undefined) {
    const protocols = new Set(many(match.protocols))
    tests.push(({ protocol }) => protocols.has(protocol))
  }
  if (match.kinds !== undefined) {
    const kinds = new Set<string>(many(match.kinds))
    tests.push(({ kind }) => kinds.has(kind))
  }
  if (match.resources !== undefined) {
    const isOne = anyGlob(match.resources)
    tests.push(({ resource }) => isOne(resource.name))
  }
  for (const [tag, values] of Object.entries(match.tags ?? {})) {
    const isOne = anyGlob(values)
    tests.push(({ resource }) => {
      const tags = resource.tags
      const value = tags !== undefined && Object.hasOwn(tags, tag) ? tags[tag] : undefined
      return value !== undefined && isOne(value)
    })
  }
  if (match.subjects !== undefined) {
    const isOne = anyGlob(match.subjects)
    tests.push(({ subject }) => isOne(subject.id))
  }
  if (match.subjectTypes !== undefined) {
    const types = new Set<string>(many(match.subjectTypes))
    tests.push(({ subject }, reading) => (subject.type === undefined ? reading === 'any' : types.has(subject.type)))
  }
  if (match.groups !== undefined) {
    const isOne = anyGlob(match.groups)
    tests.push(({ subject }) => subject.groups?.some(isOne) === true)
  }
  if (match.text !== undefined) tests.push(compileText(match.text, texts))
  if (match.time !== undefined) {
    const isTime = compileTime(many(match.time))
    tests.push(({ nowUnixMs }) => isTime(nowUnixMs))
  }
  return tests
}

function anyGlob(sources: OneOrMany<string>): (name: string) => boolean {
  const globs = many(sources).map((source) => compileGlob(source))
  const literals = new Set(globs.flatMap((glob) => glob.literal ?? []))
  const others = globs.filter((glob) => glob.literal === undefined)
  return (name) => literals.has(name) || others.some((glob) => glob.test(name))
}

function compileText(matches: OneOrMany<string | TextMatch>, texts: TextCompiler): Test {
  const found: CompiledRegex[] = []
  const whole: CompiledRegex[] = []
  for (const { pattern, caseSensitive } of textPatterns(matches)) {
    found.push(texts.compile(pattern, { caseSensitive, isWhole: false }))
    whole.push(texts.compile(pattern, { caseSensitive, isWhole: true }))
  }
  return ({ text }, reading) =>
    text !== undefined && (reading === 'any' ? found : whole).some((regex) => regex.test(text))
}

/** Every pattern of a text matcher, with how it is to be read. */
export function textPatterns(
  matches: OneOrMany<string | TextMatch>,
): readonly { readonly pattern: string; readonly caseSensitive: boolean }[] {
  return many(matches).flatMap((entry) =>
    typeof entry === 'string'
      ? [{ pattern: entry, caseSensitive: false }]
      : many(entry.patterns).map((pattern) => ({ pattern, caseSensitive: entry.caseSensitive ?? false })),
  )
}

/** What only the analysis of the command can tell. */
function factTests(match: Match, isPermission: boolean): readonly SqlTest[] {
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
