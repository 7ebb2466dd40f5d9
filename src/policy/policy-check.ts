import { matchImplies } from './implies.js'
import { many, type ProgramsMatch, type TablesMatch } from './match.js'
import type { Rule } from './rule.js'
import type { ShapeProblem } from './shape.js'

/**
 * What is wrong between rules that are each right: ids used twice, and rules that a denial always outdoes.
 */
export function checkRules(rules: readonly Rule[]): readonly ShapeProblem[] {
  const problems: ShapeProblem[] = []
  const firstByIds = new Map<string, number>()
  for (const [index, { id }] of rules.entries()) {
    const first = firstByIds.get(id)
    if (first === undefined) firstByIds.set(id, index)
    else {
      const message = `the id \`${id}\` is used twice`
      problems.push({ path: ['rules', index, 'id'], at: 'value', message, hint: `rule ${first + 1} has it already` })
    }
  }
  const findDenials = denialFinder(rules)
  for (const [index, rule] of rules.entries()) {
    if (rule.effect !== 'allow' && rule.effect !== 'hold') continue
    const outdoing = findDenials(rule).find((deny) =>
      matchImplies(rule.match ?? {}, deny.match ?? {}, { isPermission: rule.effect === 'allow' }),
    )
    if (outdoing === undefined) continue
    problems.push({
      path: ['rules', index],
      at: 'value',
      message: `rule \`${rule.id}\` can never fire: whatever it matches is denied by \`${outdoing.id}\``,
      hint: 'a deny wins in any order; narrow the deny with `not`, or remove this rule',
    })
  }
  return problems
}

/**
 * The denials that could outdo a rule. Most speak of particular names, and are looked up by one of those,
 * so that a long policy is checked in linear time.
 */
function denialFinder(rules: readonly Rule[]): (rule: Rule) => readonly Rule[] {
  const byName = new Map<string, Rule[]>()
  const others: Rule[] = []
  for (const rule of rules) {
    if (rule.effect !== 'deny' || rule.when !== undefined || rule.mode === 'observe') continue
    const key = ANCHORS.find((anchor) => {
      const names = namesOf(rule, anchor)
      return names.length > 0 && names.every(isLiteral)
    })
    if (key === undefined) {
      others.push(rule)
      continue
    }
    for (const name of new Set(namesOf(rule, key).map(lastPart))) {
      const bucket = byName.get(`${key} ${name}`)
      if (bucket === undefined) byName.set(`${key} ${name}`, [rule])
      else bucket.push(rule)
    }
  }
  // A denial covers a rule only if it covers the first name of each of the rule's lists.
  return (rule) => [
    ...others,
    ...ANCHORS.flatMap((anchor) => {
      const [first] = namesOf(rule, anchor)
      return first === undefined ? [] : (byName.get(`${anchor} ${lastPart(first)}`) ?? [])
    }),
  ]
}

const ANCHORS = ['tables', 'subjects', 'groups', 'resources', 'functions', 'programs'] as const

function namesOf(rule: Rule, anchor: (typeof ANCHORS)[number]): readonly string[] {
  return many<string | TablesMatch | ProgramsMatch>(rule.match?.[anchor]).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : 'tables' in entry ? many(entry.tables) : many(entry.programs),
  )
}

function isLiteral(name: string): boolean {
  return !/[*?"]/.test(name)
}

/** Names meet only if these are the same: the last part of a dotted name, or of a program's path. */
function lastPart(name: string): string {
  const base = name.slice(name.lastIndexOf('/') + 1)
  return base
    .slice(base.lastIndexOf('.') + 1)
    .replaceAll('"', '')
    .toLowerCase()
}
