import type { DecisionContext, PolicyOutcome } from '../../src/core/index.js'
import { createPolicy, type Rule } from '../../src/policy/index.js'
import { AGENT, contextOf, factsOf, statement, table } from '../../src/policy/facts.test-support.js'
import { atLeast, atMost, type Line, type Table } from '../report.js'

const VERBS = ['select', 'insert', 'update', 'delete'] as const
const STATEMENTS = 64
const ROUNDS = 5

interface Closure {
  (context: DecisionContext): 'deny' | 'allow' | undefined
}

function rulesOf(count: number): readonly Rule[] {
  return Array.from({ length: count }, (_, index): Rule => {
    const verb = VERBS[index % VERBS.length] ?? 'select'
    const name = `table_${Math.floor(index / VERBS.length)}`
    return { id: `rule-${index}`, effect: verb === 'delete' ? 'deny' : 'allow', match: { verbs: verb, tables: name } }
  })
}

function closuresOf(count: number): readonly Closure[] {
  return Array.from({ length: count }, (_, index): Closure => {
    const verb = VERBS[index % VERBS.length] ?? 'select'
    const name = `table_${Math.floor(index / VERBS.length)}`
    return ({ command }) =>
      command.kind === 'sql' && command.facts.verbs[0] === verb && command.facts.tables[0]?.table === name
        ? verb === 'delete'
          ? 'deny'
          : 'allow'
        : undefined
  })
}

function contextsOf(count: number, rules: number): readonly DecisionContext[] {
  const tables = Math.max(1, Math.floor(rules / VERBS.length))
  return Array.from({ length: count }, (_, index) => {
    const verb = VERBS[index % VERBS.length] ?? 'select'
    const mode = verb === 'select' ? 'read' : verb
    const name = `table_${(index * 7919) % tables}`
    const facts = factsOf([statement(verb, { tables: [table(name, mode)] })])
    return contextOf(facts, { subject: AGENT, text: `${verb} ${name}` })
  })
}

/** The fastest of some rounds, in decisions per second. */
function rate(decisions: number, round: (index: number) => void): number {
  let best = 0
  for (let index = 0; index < ROUNDS; index++) {
    const start = performance.now()
    round(index)
    best = Math.max(best, (decisions / (performance.now() - start)) * 1000)
  }
  return best
}

interface Rates {
  readonly count: number
  readonly known: number
  readonly firstSight: number
  readonly linear: number
  readonly loadMs: number
}

function measure(count: number, isQuick: boolean): Rates {
  const share = isQuick ? 0.1 : 1
  const started = performance.now()
  const policy = createPolicy({ rules: rulesOf(count) })
  const loadMs = performance.now() - started
  const hot = contextsOf(STATEMENTS, count)
  const knownCount = 2_000_000 * share
  let last: PolicyOutcome | Promise<PolicyOutcome> | undefined
  const known = rate(knownCount, () => {
    for (let index = 0; index < knownCount; index++) last = policy.decide(hot[index % STATEMENTS] as DecisionContext)
  })
  const freshCount = 50_000 * share
  const fresh = Array.from({ length: ROUNDS }, () => contextsOf(freshCount, count))
  const firstSight = rate(freshCount, (round) => {
    for (const context of fresh[round] ?? []) last = policy.decide(context)
  })
  const closures = closuresOf(count)
  const linearCount = Math.max(2_000, Math.floor((4_000_000 / count) * share))
  let denied = 0
  const linear = rate(linearCount, () => {
    for (let index = 0; index < linearCount; index++) {
      const context = hot[index % STATEMENTS] as DecisionContext
      for (const closure of closures) if (closure(context) === 'deny') denied++
    }
  })
  if (last === undefined || denied === 0) throw new Error('nothing was measured')
  return { count, known, firstSight, linear, loadMs }
}

/** Rule decisions per second, by number of rules. */
export function measureDecisions(isQuick: boolean): Table {
  const rates = [10, 1_000, 10_000].map((count) => measure(count, isQuick))
  const few = rates[0] as Rates
  return {
    title: 'Rule decisions per second',
    notes: [
      'known: statements seen before, as on a connection at work. first sight: facts never seen, so that rules are looked up and ' +
        'matched anew. linear: a list of closures asked one after the other.',
    ],
    lines: rates.map(({ count, known, firstSight, linear, loadMs }): Line => {
      const checks = []
      if (count === 1_000)
        checks.push(atLeast('known', known, 5_000_000), atLeast('known / linear', known / linear, 20))
      if (count === 10_000) {
        checks.push(
          atMost('time of a known one / time at 10 rules', few.known / known, 2),
          atMost('time of a first sight / time at 10 rules', few.firstSight / firstSight, 2),
        )
      }
      return {
        name: `${count.toLocaleString('en-US')} rules`,
        cells: { known, 'first sight': firstSight, linear, 'known/linear': known / linear, 'load ms': loadMs },
        checks,
      }
    }),
  }
}
