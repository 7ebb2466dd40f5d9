import { channelFactTests, plainChannelTests } from './channel-tests.js'
import { factTests, type Reading } from './fact-tests.js'
import { compileGlob } from './glob.js'
import { many, type Match, type OneOrMany, type TextMatch } from './match.js'
import type { CompiledRegex, RegexEngine } from './regex-engine.js'
import { kindsOf } from './scope.js'
import { compileTime } from './time-window.js'
import type { View } from './view.js'

export type Test = (view: View, reading: Reading) => boolean

export interface CompiledMatch {
  readonly test: Test
  /** Speaks of what only these kinds of command have. Undefined: of what all have. */
  readonly kinds: ReadonlySet<string> | undefined
  /** Speaks of what only the parse can tell. */
  readonly needsFacts: boolean
  readonly needsClock: boolean
  readonly needsText: boolean
  /** Holds for no text in which none of its patterns is found. */
  readonly isTextPositive: boolean
}

/** Compiles patterns, each once per policy; remembers the answer for the text last asked about. */
export interface TextCompiler {
  /** False: no pattern compiled here is found in the text. */
  mayMatch(text: string): boolean
  compile(pattern: string, options: { readonly caseSensitive: boolean; readonly isWhole: boolean }): CompiledRegex
}

export function createTextCompiler(engine: RegexEngine): TextCompiler {
  const compiled = new Map<string, CompiledRegex>()
  const some = { sensitive: new SomePattern(engine, true), insensitive: new SomePattern(engine, false) }
  return {
    mayMatch: (text) => some.sensitive.mayMatch(text) || some.insensitive.mayMatch(text),
    compile(pattern, { caseSensitive, isWhole }) {
      const source = isWhole ? `\\A(?:${pattern})\\z` : pattern
      const key = `${caseSensitive}${source}`
      let found = compiled.get(key)
      if (found === undefined) {
        const any = caseSensitive ? some.sensitive : some.insensitive
        any.add(pattern)
        found = rememberingLast(engine.compile(source, { caseSensitive }), any)
        compiled.set(key, found)
      }
      return found
    },
  }
}

/** More patterns than this in one automaton grow it beyond what it saves. */
const MAX_TOGETHER = 200

/**
 * Whether a text has anything that some pattern of a policy is about: one look instead of one per pattern, and of most
 * texts the last.
 */
class SomePattern {
  readonly #engine: RegexEngine
  readonly #caseSensitive: boolean
  readonly #patterns = new Set<string>()
  /** Undefined: not compiled yet. `none`: there is no single automaton for them. */
  #regex: CompiledRegex | 'none' | undefined
  #lastText: string | undefined
  #lastAnswer = true

  constructor(engine: RegexEngine, caseSensitive: boolean) {
    this.#engine = engine
    this.#caseSensitive = caseSensitive
  }

  get size(): number {
    return this.#patterns.size
  }

  add(pattern: string): void {
    this.#patterns.add(pattern)
    this.#regex = undefined
    this.#lastText = undefined
  }

  mayMatch(text: string): boolean {
    if (text === this.#lastText) return this.#lastAnswer
    if (this.#patterns.size === 0) return false
    const regex = (this.#regex ??= this.#compile())
    this.#lastAnswer = regex === 'none' || regex.test(text)
    this.#lastText = text
    return this.#lastAnswer
  }

  #compile(): CompiledRegex | 'none' {
    if (this.#patterns.size > MAX_TOGETHER) return 'none'
    try {
      const source = [...this.#patterns].map((pattern) => `(?:${pattern})`).join('|')
      return this.#engine.compile(source, { caseSensitive: this.#caseSensitive })
    } catch {
      return 'none'
    }
  }
}

function rememberingLast(regex: CompiledRegex, some: SomePattern): CompiledRegex {
  let lastText: string | undefined
  let lastAnswer = false
  return {
    test(text) {
      if (text !== lastText) {
        // One pattern alone is no better than itself.
        lastAnswer = (some.size === 1 || some.mayMatch(text)) && regex.test(text)
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
  const plain = plainTests(match)
  const facts = factTests(match, options.isPermission)
  const channelPlain = plainChannelTests(match)
  const channelFacts = channelFactTests(match, options.isPermission)
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
  if (match.hasTerminal !== undefined) {
    const { hasTerminal: wanted } = match
    tests.push(({ hasTerminal }) => hasTerminal === wanted)
  }
  if (channelPlain.length > 0) {
    tests.push(({ channel }, reading) => channel !== undefined && channelPlain.every((test) => test(channel, reading)))
  }
  if (channelFacts.length > 0) {
    tests.push(({ channel, certainty }, reading) => {
      if (channel === undefined) return reading === 'any' && certainty === 'unparsed'
      for (const test of channelFacts) if (!test(channel, reading)) return false
      return true
    })
  }
  // Last: patterns cost the most.
  if (match.text !== undefined) tests.push(compileText(match.text, options.texts))
  if (inner !== undefined) tests.push((view, reading) => !inner.test(view, reading === 'any' ? 'only' : 'any'))
  return {
    test: allOf(tests),
    kinds: kindsOf(match),
    needsFacts: facts.length > 0 || channelFacts.length > 0 || inner?.needsFacts === true,
    needsClock: match.time !== undefined || inner?.needsClock === true,
    needsText: match.text !== undefined || inner?.needsText === true,
    isTextPositive: match.text !== undefined,
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
function plainTests(match: Match): readonly Test[] {
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
