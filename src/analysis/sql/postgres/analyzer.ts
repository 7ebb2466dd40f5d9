import {
  combineStatementFacts,
  type SqlAnalyzer,
  type SqlFacts,
  type SqlSessionState,
  type SqlStatementFacts,
  unparsedFacts,
} from '../../../core/index.js'
import { GenerationCache } from '../../../core/generation-cache.js'
import { Collector } from './collector.js'
import { type LexerLimits, lex } from './lexer.js'
import { createPostgresParser, type ParsedStatement, type PostgresParser } from './parser.js'
import { readingKey, readingProblem, type SessionReading, sessionReading } from './session-reading.js'
import { shapeKey } from './shape-key.js'
import { statementFacts, walkStatement } from './statements.js'
import { nodeOf } from './tree.js'
import { Walker } from './walker.js'

export interface PostgresAnalyzerOptions {
  /**
   * Longer texts (in UTF-16 code units) stay unparsed. Default 1 MiB: what one statement of an application needs, and
   * what the parser reads in well under two seconds.
   */
  readonly maxTextLength?: number
  /** Words, literals and signs in one text. Default 200,000: about a second's work, and a bulk INSERT of 1 MiB. */
  readonly maxTokens?: number
  /** Statements in one text. Default 10,000. */
  readonly maxStatements?: number
  /** Operators, joins and brackets on one path of the tree. Default 2000: the parser's stack ends at about 7000. */
  readonly maxDepth?: number
  /** Judged texts that are kept. Default 10,000. */
  readonly maxCachedTexts?: number
  /** Their estimated memory. Default 32 MiB. */
  readonly maxCachedBytes?: number
}

/**
 * An analyzer with the server's own grammar. Load it once and share it: it keeps no state but its cache.
 *
 * @example
 * const analyzer = await createPostgresAnalyzer()
 * analyzer.analyze('delete from t', { standardConformingStrings: true, clientEncoding: 'UTF8' }).hasWhere // false
 */
export async function createPostgresAnalyzer(options: PostgresAnalyzerOptions = {}): Promise<SqlAnalyzer> {
  return new PostgresAnalyzer(await createPostgresParser(), options)
}

class PostgresAnalyzer implements SqlAnalyzer {
  readonly dialect = 'postgres'
  private readonly parser: PostgresParser
  private readonly limits: LexerLimits
  private readonly caches = new Map<number, GenerationCache<SqlFacts>>()
  private readonly cacheLimits: { readonly maxEntries: number; readonly maxBytes: number }
  private lastState: SqlSessionState | undefined
  private lastReading: SessionReading | undefined
  private lastCache: GenerationCache<SqlFacts> | undefined
  /** Whether the facts being made hold for every text of the same shape. */
  private isShared = false

  constructor(parser: PostgresParser, options: PostgresAnalyzerOptions) {
    this.parser = parser
    this.limits = {
      maxTextLength: options.maxTextLength ?? 1024 * 1024,
      maxDepth: options.maxDepth ?? 2000,
      maxTokens: options.maxTokens ?? 200_000,
      maxStatements: options.maxStatements ?? 10_000,
    }
    this.cacheLimits = {
      maxEntries: options.maxCachedTexts ?? 10_000,
      maxBytes: options.maxCachedBytes ?? 32 * 1024 * 1024,
    }
  }

  analyze(text: string, state: SqlSessionState): SqlFacts {
    // INVARIANT: no text begins like the keys of shapes, which share the cache with texts.
    if (text.charCodeAt(0) === 0) return deepFreeze(unparsedFacts('the text contains a NUL character'))
    const cache = this.cacheFor(state)
    const known = cache.get(text)
    if (known !== undefined) return known
    const key = shapeKey(text)
    if (key !== undefined) {
      // Behind a NUL, where no text gets to.
      const alike = cache.get(`\0${key}`)
      if (alike !== undefined) return alike
    }
    this.isShared = key !== undefined
    const facts = this.judge(text, this.lastReading ?? sessionReading(state))
    if (key !== undefined && this.isShared && facts.certainty !== 'unparsed') {
      cache.set(`\0${key}`, facts)
      return facts
    }
    // What failed for lack of a parser may succeed the next time.
    if (facts.certainty !== 'unparsed' || facts.problem !== 'the parser is being restarted') cache.set(text, facts)
    return facts
  }

  private cacheFor(state: SqlSessionState): GenerationCache<SqlFacts> {
    if (this.lastCache !== undefined && this.lastState !== undefined && sameState(state, this.lastState)) {
      return this.lastCache
    }
    const reading = sessionReading(state)
    const key = readingKey(reading)
    let cache = this.caches.get(key)
    if (cache === undefined) {
      cache = new GenerationCache(this.cacheLimits, estimatedBytes)
      this.caches.set(key, cache)
    }
    // A copy: the caller may change its own.
    this.lastState = { ...state }
    this.lastReading = reading
    this.lastCache = cache
    return cache
  }

  private judge(text: string, reading: SessionReading): SqlFacts {
    try {
      const lexical = lex(text, this.limits)
      const problem = lexical.problem ?? readingProblem(reading, lexical, text)
      if (problem !== undefined) return deepFreeze(unparsedFacts(problem, lexical.shape))
      const parsed = this.parser.parse(withoutComments(text, lexical.commentsInLiterals))
      if (!parsed.ok) return deepFreeze(unparsedFacts(parsed.problem, lexical.shape))
      const statements = parsed.statements.map((statement) => this.statement(statement, text, reading))
      return deepFreeze(combineStatementFacts(statements, lexical.shape))
    } catch {
      // Fails closed: deeper or larger than a walk may go.
      return deepFreeze(unparsedFacts('the text is too complex'))
    }
  }

  private statement(statement: ParsedStatement, text: string, reading: SessionReading): SqlStatementFacts {
    const collector = new Collector()
    const walker = new Walker(collector, reading, walkStatement)
    const facts = statementFacts(walker, statement.tree, () => sourceOf(statement, text))
    if (collector.isLiteralDependent || !isPlain(statement, facts)) this.isShared = false
    return facts
  }
}

const PLAIN_STATEMENTS = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt'])

/** Whether nothing in the facts was read from a literal, as settings, limits and arguments of hazardous functions are. */
function isPlain({ tree }: ParsedStatement, facts: SqlStatementFacts): boolean {
  return (
    PLAIN_STATEMENTS.has(nodeOf(tree)?.kind ?? '') &&
    facts.rowLimit === undefined &&
    facts.effects.length === 0 &&
    facts.functions.every((call) => call.hazards.length === 0)
  )
}

function sameState(a: SqlSessionState, b: SqlSessionState): boolean {
  return (
    a.standardConformingStrings === b.standardConformingStrings &&
    a.clientEncoding === b.clientEncoding &&
    a.serverVersion === b.serverVersion &&
    a.searchPath === b.searchPath
  )
}

/** Blanks in place of the given ranges, as many as they have UTF-8 bytes: the parser counts places in those. */
function withoutComments(text: string, ranges: readonly number[]): string {
  let result = ''
  let done = 0
  for (let index = 0; index < ranges.length; index += 2) {
    const from = ranges[index] ?? 0
    const to = ranges[index + 1] ?? 0
    result += text.slice(done, from) + ' '.repeat(new TextEncoder().encode(text.slice(from, to)).length)
    done = to
  }
  return done === 0 ? text : result + text.slice(done)
}

function sourceOf({ startByte, lengthBytes }: ParsedStatement, text: string): string {
  const bytes = new TextEncoder().encode(text)
  return new TextDecoder().decode(
    bytes.subarray(startByte, lengthBytes === undefined ? undefined : startByte + lengthBytes),
  )
}

/** Text, shape and objects of about a hundred bytes each. */
function estimatedBytes(text: string, facts: SqlFacts): number {
  let entries = 10
  for (const statement of facts.statements) {
    entries += 10 + statement.tables.length + statement.columns.length + statement.functions.length
    entries += statement.launders.length + statement.effects.length
    if (Array.isArray(statement.output)) entries += 2 * statement.output.length
  }
  return 2 * (text.length + facts.shape.length) + 200 * entries
}

/** Facts are shared by everybody who sends the same text. */
function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
