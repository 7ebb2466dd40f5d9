import type { DecisionContext, PolicyOutcome } from '../src/core/index.js'
import { createPolicy, type Rule } from '../src/policy/index.js'
import { AGENT, contextOf, factsOf, statement, table } from '../src/policy/facts.test-support.js'

/**
 * Decisions per second by number of rules. `known`: statements seen before, as on a connection at work.
 * `first sight`: facts never seen, so that rules are looked up and matched anew. `linear`: a list of
 * closures asked one after the other, for comparison.
 */

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

function measure(count: number): Readonly<Record<string, string | number>> {
  const started = performance.now()
  const policy = createPolicy({ rules: rulesOf(count) })
  const loadMs = performance.now() - started
  const hot = contextsOf(STATEMENTS, count)
  let last: PolicyOutcome | Promise<PolicyOutcome> | undefined
  const known = rate(2_000_000, () => {
    for (let index = 0; index < 2_000_000; index++) last = policy.decide(hot[index % STATEMENTS] as DecisionContext)
  })
  const fresh = Array.from({ length: ROUNDS }, () => contextsOf(50_000, count))
  const firstSight = rate(50_000, (round) => {
    for (const context of fresh[round] ?? []) last = policy.decide(context)
  })
  const closures = closuresOf(count)
  const linearCount = Math.max(2_000, Math.floor(4_000_000 / count))
  let denied = 0
  const linear = rate(linearCount, () => {
    for (let index = 0; index < linearCount; index++) {
      const context = hot[index % STATEMENTS] as DecisionContext
      for (const closure of closures) if (closure(context) === 'deny') denied++
    }
  })
  if (last === undefined || denied === 0) throw new Error('nothing was measured')
  return {
    rules: count,
    'known/s': Math.round(known),
    'first sight/s': Math.round(firstSight),
    'linear/s': Math.round(linear),
    'known to linear': (known / linear).toFixed(1),
    'load ms': Math.round(loadMs),
  }
}

console.table([10, 1_000, 10_000].map(measure))
