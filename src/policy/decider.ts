import type {
  Command,
  DecisionContext,
  EnvironmentVariable,
  PolicyOutcome,
  ShellCommand,
  ShellFacts,
  SqlCommand,
  SqlFacts,
} from '../core/index.js'
import { combine, type CombineOptions, type Finding } from './combine.js'
import type { CompiledRule } from './compile-rule.js'
import { createRuleIndex } from './rule-index.js'
import { isUnparsedCommand, type View, viewsOf } from './view.js'

/**
 * Outcomes kept per combination of matching rules. A policy has a handful in practice; the bound is against
 * rules written so that a client can reach very many.
 */
const MAX_OUTCOMES = 4096

/** What is settled about one command for one subject and resource, and what has to be asked each time. */
interface Entry {
  readonly text: string
  readonly protocol: string
  readonly dialect: string
  readonly searchPath: string | undefined
  /** Of command lines: what their views were made of besides the facts. */
  readonly shell: Pick<ShellCommand, 'via' | 'hasTerminal' | 'environment'> | undefined
  readonly views: readonly View[]
  readonly isUnparsed: boolean
  /** What the facts alone settle. */
  readonly settled: readonly Finding[]
  /** Rules that look at the text: asked once for each text with these facts. */
  readonly reading: readonly CompiledRule[]
  /** What holds for a text in which no pattern is found. Undefined where a rule is about what is not found, too. */
  readonly quiet: Entry | undefined
  /** `settled`, and what the text adds. */
  readonly read: readonly Finding[]
  /** Rules that look at the clock, or whose `when` has to be called. */
  readonly open: readonly OpenRule[]
  /** Set where nothing is open. */
  readonly outcome: PolicyOutcome | undefined
}

interface OpenRule {
  readonly rule: CompiledRule
  /** Undefined: the clock or the text decides, so the match is made again each time. */
  readonly finding: Finding | undefined
}

/** Decisions for one subject on one resource. They go when the facts go. */
interface Scope {
  readonly prepare: WeakMap<SqlFacts, Entry>
  readonly execute: WeakMap<SqlFacts, Entry>
  readonly shell: WeakMap<ShellFacts, Entry>
}

export type Decide = (context: DecisionContext) => PolicyOutcome | Promise<PolicyOutcome>

/**
 * Makes the function that decides. The same facts for the same subject and resource are judged once; only
 * rules with a clock or a function are asked again.
 *
 * @param rules in the order of their ids
 * @param mayMatch false: none of the rules' patterns is found in the text
 */
export function createDecider(
  rules: readonly CompiledRule[],
  options: CombineOptions,
  mayMatch: (text: string) => boolean,
): Decide {
  const index = createRuleIndex(rules)
  const scopes = new WeakMap<object, WeakMap<object, Scope>>()
  const outcomes = new Map<string, PolicyOutcome>()
  const outcomeOfOne: (PolicyOutcome | undefined)[] = []
  const failure = combine({ findings: [], statementCount: 1, isUnparsed: false }, options)
  const engineError: PolicyOutcome = Object.freeze(
    options.isObserving
      ? { ...failure, effect: 'allow', reason: 'engine-error', wouldBe: 'deny' }
      : { ...failure, effect: 'deny', reason: 'engine-error' },
  )
  let lastSubject: object | undefined
  let lastResource: object | undefined
  let lastScope: Scope | undefined

  function scopeOf(subject: object, resource: object): Scope {
    if (lastScope !== undefined && subject === lastSubject && resource === lastResource) return lastScope
    let bySubject = scopes.get(subject)
    if (bySubject === undefined) scopes.set(subject, (bySubject = new WeakMap()))
    let scope = bySubject.get(resource)
    if (scope === undefined) {
      bySubject.set(resource, (scope = { prepare: new WeakMap(), execute: new WeakMap(), shell: new WeakMap() }))
    }
    lastSubject = subject
    lastResource = resource
    lastScope = scope
    return scope
  }

  function entryOf(context: DecisionContext, command: SqlCommand): Entry {
    const entries = scopeOf(context.subject, context.resource)[command.phase]
    const { facts } = command
    const known = entries.get(facts)
    if (
      known !== undefined &&
      known.protocol === command.protocol &&
      known.dialect === command.dialect &&
      known.searchPath === command.state.searchPath
    ) {
      return knownFor(known, command.text, facts, entries)
    }
    const entry = judge(context, command)
    entries.set(facts, entry)
    return entry
  }

  /** What was settled before, for a text that may be another. */
  function knownFor<Facts extends object>(
    known: Entry,
    text: string,
    facts: Facts,
    entries: WeakMap<Facts, Entry>,
  ): Entry {
    if (known.reading.length === 0 || known.text === text) return known
    // Nothing in the text that any rule is about: what the facts settle is all.
    if (known.quiet !== undefined && !mayMatch(text)) return known.quiet
    const entry = readAnew(known, text)
    entries.set(facts, entry)
    return entry
  }

  function entryOfLine(context: DecisionContext, command: ShellCommand): Entry {
    const entries = scopeOf(context.subject, context.resource).shell
    const { facts } = command
    const known = entries.get(facts)
    if (
      known?.shell !== undefined &&
      known.protocol === command.protocol &&
      known.shell.via === command.via &&
      known.shell.hasTerminal === command.hasTerminal &&
      haveSameNames(known.shell.environment, command.environment)
    ) {
      return knownFor(known, command.text, facts, entries)
    }
    const entry = judge(context, command)
    entries.set(facts, entry)
    return entry
  }

  /** Texts that differ in their literals alone share their facts, and nearly all there is to decide. */
  function readAnew(known: Entry, text: string): Entry {
    for (const view of known.views) view.text = text
    return { ...known, text, ...read(known.settled, known.reading, known.open, known.views, known.isUnparsed) }
  }

  function read(
    settled: readonly Finding[],
    reading: readonly CompiledRule[],
    open: readonly OpenRule[],
    views: readonly View[],
    unparsed: boolean,
  ): Pick<Entry, 'read' | 'outcome'> {
    let found = settled
    for (const rule of reading) {
      const finding = findingOf(rule, views, unparsed)
      if (finding !== undefined) found = found === settled ? [...settled, finding] : [...found, finding]
    }
    return { read: found, outcome: open.length === 0 ? outcomeOf(found, views.length, unparsed) : undefined }
  }

  function judge(context: DecisionContext, command: Command): Entry {
    const views = viewsOf(context)
    const unparsed = isUnparsedCommand(command)
    const sql = command.kind === 'sql' ? command : undefined
    const settled: Finding[] = []
    const reading: CompiledRule[] = []
    const open: OpenRule[] = []
    for (const rule of candidatesOf(views)) {
      if (rule.needsClock || (rule.needsText && rule.when !== undefined)) {
        open.push({ rule, finding: undefined })
        continue
      }
      if (rule.needsText) {
        reading.push(rule)
        continue
      }
      const finding = findingOf(rule, views, unparsed)
      if (finding === undefined) continue
      if (rule.when === undefined) settled.push(finding)
      else open.push({ rule, finding })
    }
    const entry: Entry = {
      text: command.text,
      protocol: command.protocol,
      dialect: sql?.dialect ?? '',
      searchPath: sql?.state.searchPath,
      shell: command.kind === 'shell' ? withoutValues(command) : undefined,
      views,
      isUnparsed: unparsed,
      settled,
      reading,
      open,
      quiet: undefined,
      ...read(settled, reading, open, views, unparsed),
    }
    if (reading.length === 0 || !reading.every((rule) => rule.isTextPositive)) return entry
    return { ...entry, quiet: { ...entry, reading: [], ...read(settled, [], open, views, unparsed) } }
  }

  function candidatesOf(views: readonly View[]): readonly CompiledRule[] {
    const candidates: CompiledRule[] = []
    const [first] = views
    if (views.length === 1 && first !== undefined) {
      index.collect(first, candidates)
      return candidates
    }
    for (const view of views) index.collect(view, candidates)
    return [...new Set(candidates)]
  }

  function outcomeOf(findings: readonly Finding[], statementCount: number, unparsed: boolean): PolicyOutcome {
    const isPlain = statementCount === 1 && !unparsed && findings.every(({ state }) => state === 'matched')
    if (!isPlain) return combine({ findings: inOrder(findings), statementCount, isUnparsed: unparsed }, options)
    const [first] = findings
    if (first !== undefined && findings.length === 1) {
      return (outcomeOfOne[first.rule.order] ??= combine({ findings, statementCount, isUnparsed: false }, options))
    }
    const sorted = inOrder(findings)
    let key = ''
    for (const { rule } of sorted) key += `${rule.order},`
    let outcome = outcomes.get(key)
    if (outcome === undefined) {
      if (outcomes.size >= MAX_OUTCOMES) outcomes.clear()
      outcome = combine({ findings: sorted, statementCount, isUnparsed: false }, options)
      outcomes.set(key, outcome)
    }
    return outcome
  }

  function decideOpen(entry: Entry, context: DecisionContext): PolicyOutcome | Promise<PolicyOutcome> {
    for (const view of entry.views) {
      view.nowUnixMs = context.nowUnixMs
      const { kind } = context.command
      if (kind === 'sql' || kind === 'shell') view.text = context.command.text
    }
    const findings = [...entry.read]
    const pending: Promise<void>[] = []
    for (const { rule, finding: known } of entry.open) {
      const finding = known ?? findingOf(rule, entry.views, entry.isUnparsed)
      if (finding === undefined) continue
      if (rule.when === undefined) {
        findings.push(finding)
        continue
      }
      const settle = (answer: unknown): void => {
        if (answer === false) return
        // Fails closed: an answer that is neither true nor false is no answer.
        findings.push(answer === true ? finding : { ...finding, state: 'failed' })
      }
      const fail = (): void => settle(undefined)
      try {
        const answer = rule.when(context)
        if (isThenable(answer)) pending.push(Promise.resolve(answer).then(settle, fail))
        else settle(answer)
      } catch {
        fail()
      }
    }
    const finish = (): PolicyOutcome => outcomeOf(findings, entry.views.length, entry.isUnparsed)
    return pending.length === 0 ? finish() : Promise.all(pending).then(finish)
  }

  return (context) => {
    try {
      const { command } = context
      const entry =
        command.kind === 'sql'
          ? entryOf(context, command)
          : command.kind === 'shell'
            ? entryOfLine(context, command)
            : judge(context, command)
      if (options.isObserving && command.kind === 'terminal')
        return unrestricted(entry.outcome ?? decideOpen(entry, context))
      return entry.outcome ?? decideOpen(entry, context)
    } catch {
      // Fails closed: a command or subject unlike its type must not pass for want of an answer.
      return engineError
    }
  }
}

/** What the rule says about a command without its `when`. */
export function findingOf(rule: CompiledRule, views: readonly View[], unparsed: boolean): Finding | undefined {
  const [first] = views
  if (first === undefined || (rule.kinds !== undefined && !rule.kinds.has(first.kind))) return undefined
  const state = unparsed && rule.needsFacts && !isKnownHarm(rule, first) ? 'doubtful' : 'matched'
  const reading = rule.effect === 'allow' && state === 'matched' ? 'only' : 'any'
  if (views.length === 1) return rule.test(first, reading) ? { rule, coverage: undefined, state } : undefined
  const coverage = views.map((view) => rule.test(view, reading))
  return coverage.includes(true) ? { rule, coverage, state } : undefined
}

/** Who only observes forbids no program its screen. */
function unrestricted(outcome: PolicyOutcome | Promise<PolicyOutcome>): PolicyOutcome | Promise<PolicyOutcome> {
  if (outcome instanceof Promise) return outcome.then(unrestricted)
  return Object.freeze({ ...outcome, allowsRawTerminal: true })
}

/** Decisions are kept, values are not: only names are compared and matched. */
function withoutValues({ via, hasTerminal, environment }: ShellCommand): NonNullable<Entry['shell']> {
  return { via, hasTerminal, environment: environment.map(({ name }) => ({ name, value: '' })) }
}

function haveSameNames(left: readonly EnvironmentVariable[], right: readonly EnvironmentVariable[]): boolean {
  return left.length === right.length && left.every(({ name }, index) => name === right[index]?.name)
}

/** What could not be parsed may do more than is known of it, and does the harm that is. */
function isKnownHarm({ forbidden }: CompiledRule, { hazards }: View): boolean {
  return forbidden !== undefined && hazards.some((hazard) => forbidden.has(hazard))
}

function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return findings.length < 2 ? findings : [...findings].sort((left, right) => left.rule.order - right.rule.order)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
