import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ColumnAccess,
  type DecisionContext,
  type FunctionCall,
  type PolicyOutcome,
  SallyportError,
  type SqlCommand,
  type SqlStatementFacts,
  type TableAccess,
} from '../core/index.js'
import { createPolicy, type Match, type Rule } from './index.js'
import { contextOf, factsOf, statement, UNPARSED } from './facts.test-support.js'

// Small worlds, so that rules and commands meet often.
const schema = fc.constantFrom('app', 'hr')
const tableName = fc.constantFrom('orders', 'people')
const columnName = fc.constantFrom('id', 'ssn')
const functionName = fc.constantFrom('lower', 'pg_sleep')
const verbName = fc.constantFrom('select', 'delete', 'drop table', 'drop index')
const className = fc.constantFrom('read', 'write', 'ddl', 'unknown')
const mode = fc.constantFrom('read', 'insert', 'delete', 'ddl')
const list = <T>(entry: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.uniqueArray(entry, { minLength: 1, maxLength: 2 })
const optional = <T>(entry: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(entry, { nil: undefined, freq: 1 })

const part = (name: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 4, arbitrary: name }, { weight: 1, arbitrary: fc.constant('*') })
const tablePattern = fc.oneof(
  part(tableName),
  fc.tuple(part(schema), part(tableName)).map((parts) => parts.join('.')),
)
const columnPattern = fc.oneof(
  part(columnName),
  fc.tuple(part(tableName), part(columnName)).map((parts) => parts.join('.')),
  fc.tuple(part(schema), part(tableName), part(columnName)).map((parts) => parts.join('.')),
)

const flatMatch: fc.Arbitrary<Match> = fc
  .record({
    verbs: list(fc.constantFrom('select', 'delete', 'drop', 'drop table')),
    classes: list(className),
    tables: list(
      fc.oneof(
        tablePattern,
        fc.record({ tables: list(tablePattern), access: list(fc.constantFrom('read', 'write', 'ddl')) }),
      ),
    ),
    columns: list(columnPattern),
    functions: list(part(functionName)),
    missingWhere: fc.boolean(),
    noRowLimit: fc.boolean(),
    isDynamic: fc.boolean(),
    text: fc.constantFrom('select', 'x'),
    subjects: list(fc.constantFrom('ann', 'bob', 'a*')),
    groups: list(fc.constantFrom('g1', 'g2')),
    phases: list(fc.constantFrom('prepare', 'execute')),
    certainty: list(fc.constantFrom('exact', 'conservative', 'unparsed')),
  })
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 2 }))
  .map((entries): Match => Object.fromEntries(entries))

const match: fc.Arbitrary<Match> = fc
  .tuple(flatMatch, fc.option(flatMatch, { nil: undefined, freq: 2 }))
  .map(([outer, inner]) => (inner === undefined || Object.keys(inner).length === 0 ? outer : { ...outer, not: inner }))

const effect = fc.constantFrom('deny', 'hold', 'allow', 'allow', undefined)

/** Rules that are valid on their own; what is not, is left out. */
const rules: fc.Arbitrary<readonly Rule[]> = fc
  .array(fc.tuple(effect, match, fc.boolean(), fc.nat(9)), { maxLength: 8 })
  .map((entries) =>
    entries.map(
      ([kind, about, observes, maxRows], index): Rule => ({
        id: `r${(index * 7) % 10}`,
        match: about,
        maxRows,
        ...(kind === undefined ? {} : { effect: kind }),
        ...(observes && index % 4 === 0 ? { mode: 'observe' } : {}),
      }),
    ),
  )

const table: fc.Arbitrary<TableAccess> = fc
  .record({ schema: optional(schema), table: tableName, modes: fc.uniqueArray(mode, { minLength: 1, maxLength: 2 }) })
  .map(({ schema: known, ...rest }) => (known === undefined ? rest : { schema: known, ...rest }))
const column: fc.Arbitrary<ColumnAccess> = fc
  .record({ table: optional(tableName), column: fc.oneof(columnName, fc.constant('*')) })
  .map(({ table: known, column: name }) => ({
    column: name,
    mode: 'read',
    ...(known === undefined ? {} : { table: known }),
  }))
const call: fc.Arbitrary<FunctionCall> = functionName.map((name) => ({ name, volatility: 'volatile', hazards: [] }))
const facts: fc.Arbitrary<SqlStatementFacts> = fc
  .record({
    verb: verbName,
    class: className,
    certainty: fc.constantFrom('exact', 'exact', 'conservative'),
    tables: fc.array(table, { maxLength: 2 }),
    columns: fc.array(column, { maxLength: 2 }),
    functions: fc.array(call, { maxLength: 1 }),
    hasWhere: fc.boolean(),
    isDynamic: fc.boolean(),
    output: fc.constantFrom(undefined, 'unknown' as const),
  })
  .map(({ verb, ...rest }) => statement(verb, rest))

const context: fc.Arbitrary<DecisionContext> = fc
  .record({
    statements: fc.oneof({ weight: 3, arbitrary: fc.tuple(facts) }, { weight: 1, arbitrary: fc.tuple(facts, facts) }),
    isUnparsed: fc.constantFrom(false, false, false, false, true),
    id: fc.constantFrom('ann', 'bob'),
    groups: fc.subarray(['g1', 'g2']),
    text: fc.constantFrom('select', 'select x', 'y'),
    phase: fc.constantFrom('prepare', 'execute'),
    searchPath: fc.constantFrom('app', 'app, hr', undefined),
  })
  .map(({ statements, isUnparsed, id, groups, text, phase, searchPath }) =>
    contextOf(isUnparsed ? UNPARSED : factsOf(statements), {
      subject: { id, groups },
      text,
      phase,
      state: searchPath === undefined ? {} : { searchPath },
    }),
  )

/** A policy of the rules that may stand together, or nothing. */
function policyOf(
  all: readonly Rule[],
  mode: 'enforce' | 'observe' = 'enforce',
): ((context: DecisionContext) => PolicyOutcome) | undefined {
  try {
    const policy = createPolicy({ rules: all, mode })
    return (each) => {
      const outcome = policy.decide(each)
      if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
      return outcome
    }
  } catch (error) {
    if (error instanceof SallyportError) return undefined
    throw error
  }
}

/** What remains when rules that cannot stand are dropped one by one. */
function sound(all: readonly Rule[]): readonly Rule[] {
  const kept: Rule[] = []
  for (const rule of all) if (policyOf([...kept, rule]) !== undefined) kept.push(rule)
  return kept
}

const RANK = { allow: 0, hold: 1, deny: 2 }

describe('properties', () => {
  it('the order of rules never changes an outcome', () => {
    fc.assert(
      fc.property(rules, context, fc.infiniteStream(fc.nat()), (all, each, seeds) => {
        const kept = sound(all)
        const shuffled = kept.map((rule) => ({ rule, key: seeds.next().value ?? 0 })).sort((a, b) => a.key - b.key)
        expect(policyOf(shuffled.map(({ rule }) => rule))?.(each)).toEqual(policyOf(kept)?.(each))
      }),
      { numRuns: 200 },
    )
  })

  it('adding a deny never allows more', () => {
    fc.assert(
      fc.property(rules, match, context, (all, about, each) => {
        const kept = sound(all)
        const before = policyOf(kept)?.(each)
        const after = policyOf([...kept, { id: 'zz', effect: 'deny', match: about }])?.(each)
        fc.pre(before !== undefined && after !== undefined)
        expect(RANK[after.effect]).toBeGreaterThanOrEqual(RANK[before.effect])
        const held = policyOf([...kept, { id: 'zz', effect: 'hold', match: about }])?.(each)
        if (held !== undefined && before.effect === 'hold') expect(held.effect).not.toBe('allow')
      }),
      { numRuns: 200 },
    )
  })

  it('the index agrees with a naive reading of every rule', () => {
    let allowed = 0
    let denied = 0
    fc.assert(
      fc.property(rules, fc.array(context, { minLength: 1, maxLength: 6 }), (all, contexts) => {
        const kept = sound(all)
        const decide = policyOf(kept)
        for (const each of [...contexts, ...contexts]) {
          const outcome = decide?.(each)
          const { effect: kind, reason, ruleId, maxRows, matchedRuleIds, wouldBe } = outcome ?? {}
          expect({ effect: kind, reason, ruleId, maxRows, matchedRuleIds, wouldBe }).toEqual(naive(kept, each))
          if (kind === 'allow') allowed++
          if (reason === 'rule' && kind === 'deny') denied++
        }
      }),
      { numRuns: 600 },
    )
    expect(allowed).toBeGreaterThan(100)
    expect(denied).toBeGreaterThan(100)
  })

  it('a statement that does more is never allowed where one that does less is not', () => {
    fc.assert(
      fc.property(rules, facts, table, call, (all, less, extraTable, extraCall) => {
        // What only `allow` says: a hold or deny may well be about less.
        const kept = sound(all).filter((rule) => rule.effect === 'allow' && rule.match?.tables !== undefined)
        const fuller = { ...less, tables: [...less.tables, extraTable], functions: [...less.functions, extraCall] }
        fc.pre(less.tables.length > 0)
        const decide = policyOf(kept)
        if (decide?.(contextOf(fuller)).effect === 'allow') expect(decide(contextOf(less)).effect).toBe('allow')
      }),
      { numRuns: 200 },
    )
  })

  const mayContradict = ({ verbs, missingWhere, phases }: Match): boolean =>
    (verbs ?? missingWhere ?? phases) !== undefined

  it('a rule refused as one that can never fire never does', () => {
    let refusals = 0
    fc.assert(
      fc.property(
        match,
        match,
        effect,
        fc.boolean(),
        fc.array(context, { minLength: 20, maxLength: 20 }),
        (inner, outer, kind, asksForMore, contexts) => {
          fc.pre(kind === 'allow' || kind === 'hold')
          // Half of the time the rule asks for what the denial does, and more.
          const about = asksForMore ? { ...inner, ...outer } : inner
          const rule: Rule = { id: 'a', effect: kind, match: about }
          const deny: Rule = { id: 'd', effect: 'deny', match: outer }
          if (policyOf([deny]) === undefined) return
          const isImpossible = policyOf([rule]) === undefined
          if (policyOf([rule, deny]) !== undefined) return
          refusals++
          for (const each of contexts) {
            // A fact that no server reports (a DELETE of class read) proves nothing.
            if (isImpossible && (mayContradict(about) || mayContradict(about.not ?? {}))) continue
            const { effect: outcome, matchedRuleIds } = naive(
              isImpossible ? [rule] : [rule, deny],
              each,
            ) as PolicyOutcome
            if (isImpossible) expect(matchedRuleIds.length === 0 || outcome === 'deny').toBe(true)
            else if (matchedRuleIds.includes('a')) expect(matchedRuleIds).toContain('d')
          }
        },
      ),
      { numRuns: 600 },
    )
    expect(refusals).toBeGreaterThan(50)
  })

  it('facts that are less sure never allow more', () => {
    fc.assert(
      fc.property(rules, facts, (all, each) => {
        const kept = sound(all).filter((rule) => !JSON.stringify(rule).includes('"certainty"'))
        const decide = policyOf(kept)
        const exact = decide?.(contextOf({ ...each, certainty: 'exact' }))
        const unsure = decide?.(contextOf({ ...each, certainty: 'conservative' }))
        if (exact === undefined || unsure === undefined) return
        if (unsure.effect === 'allow') expect(exact.effect).toBe('allow')
      }),
      { numRuns: 200 },
    )
  })
})

// The naive evaluator: one rule after the other, from the words of the guide.

function naive(all: readonly Rule[], { command, subject }: DecisionContext): unknown {
  if (command.kind !== 'sql') throw new Error('expected SQL')
  const isUnparsed = command.facts.certainty === 'unparsed'
  const statements = isUnparsed ? [undefined] : command.facts.statements
  const sorted = [...all].sort((a, b) => (a.id < b.id ? -1 : 1))
  const found = sorted.map((rule) => {
    const doubtful = isUnparsed && mentionsFacts(rule.match ?? {})
    const holds = statements.map((each) =>
      holdsFor(rule.match ?? {}, each, command, subject, rule.effect === 'allow', rule.effect === 'allow' && !doubtful),
    )
    return { rule, doubtful, holds }
  })
  const hits = found.filter(({ holds }) => holds.includes(true))
  const sure = hits.filter(({ doubtful }) => !doubtful)
  const verdict = (from: typeof sure): { effect: 'deny' | 'hold' | 'allow'; reason: string; ruleId?: string } => {
    const deny = from.find(({ rule }) => rule.effect === 'deny')
    if (deny !== undefined) return { effect: 'deny', reason: 'rule', ruleId: deny.rule.id }
    if (isUnparsed) return { effect: 'deny', reason: 'unparsed' }
    const speaks = from.filter(({ rule }) => rule.effect === 'hold' || rule.effect === 'allow')
    if (!statements.every((_, index) => speaks.some(({ holds }) => holds[index])))
      return { effect: 'deny', reason: 'default' }
    const best = speaks.find(({ rule }) => rule.effect === 'hold') ?? speaks[0]
    return { effect: best?.rule.effect ?? 'deny', reason: 'rule', ruleId: best?.rule.id ?? '' }
  }
  const acting = verdict(sure.filter(({ rule }) => rule.mode !== 'observe'))
  const full = verdict(sure)
  const caps = hits.filter(({ rule }) => rule.mode !== 'observe').flatMap(({ rule }) => rule.maxRows ?? [])
  return {
    effect: acting.effect,
    reason: acting.reason,
    ruleId: acting.ruleId,
    maxRows: caps.length === 0 ? undefined : Math.min(...caps),
    matchedRuleIds: sure.map(({ rule }) => rule.id),
    wouldBe: RANK[full.effect] > RANK[acting.effect] ? full.effect : undefined,
  }
}

const NOT_FACTS = ['subjects', 'groups', 'phases', 'certainty', 'text', 'not']

function mentionsFacts(about: Match): boolean {
  return (
    Object.keys(about).some((key) => !NOT_FACTS.includes(key)) || (about.not !== undefined && mentionsFacts(about.not))
  )
}

function holdsFor(
  about: Match,
  each: SqlStatementFacts | undefined,
  command: SqlCommand,
  subject: DecisionContext['subject'],
  permits: boolean,
  strictly: boolean,
): boolean {
  const entries = <T>(value: T | readonly T[] | undefined): T[] => (value === undefined ? [] : ([value].flat() as T[]))
  const every = <T>(items: readonly T[], test: (item: T) => boolean): boolean =>
    strictly ? items.every(test) : items.some(test)
  const tables = entries(about.tables).flatMap((entry) =>
    typeof entry === 'string'
      ? [{ name: entry, access: ['read', 'insert', 'delete', 'ddl'] }]
      : entries(entry.tables).map((name) => ({
          name,
          access: entries(entry.access).flatMap((word) => (word === 'write' ? ['insert', 'delete'] : [String(word)])),
        })),
  )
  const path =
    command.facts.statements.length > 1 && command.facts.mayChangeSession ? undefined : command.state.searchPath
  const inSchema = (wanted: string | undefined, known: string | undefined): boolean => {
    if (wanted === undefined || wanted === '*') return true
    if (known !== undefined) return wanted === known
    return strictly ? wanted === 'app' && path === 'app' : true
  }
  const named = (wanted: string | undefined, known: string | undefined): boolean =>
    wanted === undefined || wanted === '*' || (known === undefined ? !strictly : wanted === known)
  const tableIs = (pattern: string, access: TableAccess): boolean => {
    const [name, where] = pattern.split('.').toReversed()
    return named(name, access.table) && inSchema(where, access.schema)
  }
  const columnIs = (pattern: string, access: ColumnAccess): boolean => {
    const [name, where, space] = pattern.split('.').toReversed()
    const itself = access.column === '*' ? name === '*' || !strictly : named(name, access.column)
    if (!itself || !named(where, access.table)) return false
    if (space === undefined || space === '*') return true
    return access.table === undefined && strictly ? false : inSchema(space, access.schema)
  }
  const text = (wanted: string): boolean => (strictly ? command.text === wanted : command.text.includes(wanted))
  const harm = (wanted: boolean | undefined, claimed: boolean, exact: boolean): boolean => {
    if (wanted === undefined) return true
    if (strictly) return wanted ? claimed && exact : !claimed
    return wanted ? claimed : !claimed || !exact
  }
  if (
    about.subjects !== undefined &&
    !entries(about.subjects).some((id) => id === subject.id || (id === 'a*' && subject.id === 'ann'))
  )
    return false
  if (about.groups !== undefined && !entries(about.groups).some((group) => subject.groups?.includes(group)))
    return false
  if (about.phases !== undefined && !entries(about.phases).includes(command.phase)) return false
  if (about.certainty !== undefined && !entries(about.certainty).includes(command.facts.certainty)) return false
  if (about.text !== undefined && !text(about.text as string)) return false
  const factKeys = Object.keys(about).filter((key) => !NOT_FACTS.includes(key))
  if (each === undefined) {
    if (factKeys.length > 0 && strictly) return false
  } else {
    const exact = command.facts.certainty === 'exact' && each.certainty === 'exact'
    const modes = each.tables.flatMap((access) => access.modes)
    const verbs = [each.verb, ...modes.filter((word) => word === 'insert' || word === 'delete')]
    const classes = [each.class, ...(verbs.length > 1 ? ['write'] : []), ...(modes.includes('ddl') ? ['ddl'] : [])]
    if (
      about.verbs !== undefined &&
      !every(verbs, (verb) => entries(about.verbs).some((word) => `${verb} `.startsWith(`${word} `)))
    )
      return false
    if (about.classes !== undefined) {
      const wanted: readonly string[] = entries(about.classes)
      if (!every(classes, (name) => wanted.includes(name) || (!strictly && name === 'unknown'))) return false
    }
    if (tables.length > 0) {
      const covers = (access: TableAccess): boolean => {
        const entriesFor = tables.filter((entry) => tableIs(entry.name, access))
        return every(access.modes, (word) => entriesFor.some((entry) => entry.access.includes(word)))
      }
      if (!every(each.tables, covers)) return false
      if (permits && strictly && each.tables.length === 0) return false
    }
    if (about.columns !== undefined) {
      const patterns = entries(about.columns).map(String)
      if (!every(each.columns, (access) => patterns.some((name) => columnIs(name, access)))) return false
      if (permits && strictly && tables.length === 0) {
        const isCovered = (access: TableAccess): boolean =>
          patterns.some((name) => tableIs(name.split('.').slice(0, -1).join('.') || '*', access))
        if (each.columns.length === 0 || !each.tables.every(isCovered)) return false
      }
    }
    if (about.functions !== undefined) {
      if (!every(each.functions, (made) => entries(about.functions).some((name) => named(name, made.name))))
        return false
      const isAlone = (['verbs', 'classes', 'tables', 'columns'] as const).every((key) => about[key] === undefined)
      if (permits && strictly && isAlone && each.functions.length === 0) return false
    }
    if (!harm(about.missingWhere, !each.hasWhere, exact)) return false
    if (!harm(about.noRowLimit, each.output !== undefined, exact)) return false
    if (!harm(about.isDynamic, each.isDynamic, exact)) return false
  }
  return about.not === undefined || !holdsFor(about.not, each, command, subject, permits, !strictly)
}
