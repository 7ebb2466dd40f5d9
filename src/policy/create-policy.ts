import { createHash } from 'node:crypto'
import { type Policy, SallyportError } from '../core/index.js'
import { canonicalJson } from './canonical-json.js'
import { createTextCompiler } from './compile-match.js'
import { compileRule } from './compile-rule.js'
import { createDecider } from './decider.js'
import { unionOfMasks } from './masks.js'
import { checkRules } from './policy-check.js'
import { re2jsEngine, type RegexEngine } from './regex-engine.js'
import type { PolicyDefaults, PolicyMode, Rule } from './rule.js'
import { checkRule } from './rule-check.js'
import { defaultsShape, MODES, ruleShape } from './rule-shape.js'
import { checkShape, type Shape, type ShapeProblem } from './shape.js'

export interface PolicyOptions {
  /** In any order: it makes no difference. */
  readonly rules: readonly Rule[]
  /** `observe`: everything is allowed, and reported as what it would have been. Default `enforce`. */
  readonly mode?: PolicyMode
  readonly defaults?: PolicyDefaults
  /** What compiles text patterns. Default: RE2 in JavaScript. */
  readonly regexEngine?: RegexEngine
}

const modeShape: Shape = { kind: 'enum', values: MODES }

/**
 * Checks a rule and returns it, frozen.
 *
 * @throws SallyportError `invalid_policy` naming everything that is wrong with it, also that it could never fire
 * @example
 * const noDrops = defineRule({ id: 'no-drops', effect: 'deny', match: { verbs: ['drop', 'truncate'] } })
 */
export function defineRule(rule: Rule): Rule {
  const problems = problemsOfRule(rule, [], re2jsEngine)
  if (problems.length > 0) throw invalid(problems)
  return Object.freeze({ ...rule })
}

/**
 * Compiles rules into a policy.
 *
 * @throws SallyportError `invalid_policy` naming everything that is wrong: there is no policy but the one that was meant
 */
export function createPolicy(options: PolicyOptions): Policy {
  const engine = options.regexEngine ?? re2jsEngine
  const problems: ShapeProblem[] = []
  if (options.mode !== undefined) checkShape(modeShape, options.mode, ['mode'], problems)
  if (options.defaults !== undefined) checkShape(defaultsShape, options.defaults, ['defaults'], problems)
  for (const [index, rule] of options.rules.entries()) {
    problems.push(...problemsOfRule(rule, ['rules', index], engine))
  }
  if (problems.length === 0) problems.push(...checkRules(options.rules))
  if (problems.length > 0) throw invalid(problems)
  return compilePolicy(options, engine)
}

/** Compiles what was checked already. */
export function compilePolicy(options: PolicyOptions, engine: RegexEngine): Policy {
  const mode = options.mode ?? 'enforce'
  const defaults = options.defaults ?? {}
  const texts = createTextCompiler(engine)
  const sorted = [...options.rules].sort((left, right) => (left.id < right.id ? -1 : 1))
  const rules = sorted.map((rule, order) => compileRule(rule, { order, mode, texts }))
  const digest = createHash('sha256')
    .update(canonicalJson({ version: 1, mode, defaults, rules: sorted }))
    .digest('hex')
  return {
    digest: `sha256:${digest}`,
    decide: createDecider(rules, { isObserving: mode === 'observe', defaults }, (text) => texts.mayMatch(text)),
    sessionMasks: unionOfMasks(rules.filter((rule) => rule.isEnforced).map((rule) => rule.masks)),
  }
}

function problemsOfRule(rule: Rule, path: readonly (string | number)[], engine: RegexEngine): readonly ShapeProblem[] {
  const problems: ShapeProblem[] = []
  checkShape(ruleShape, rule, path, problems)
  return problems.length > 0 ? problems : checkRule(rule, path, engine)
}

function invalid(problems: readonly ShapeProblem[]): SallyportError {
  const lines = problems.map(({ path, message, hint }) => {
    const place = path.length === 0 ? '' : `${formatPath(path)}: `
    return `${place}${message}${hint === undefined ? '' : ` (${hint})`}`
  })
  return new SallyportError('invalid_policy', lines.join('\n'))
}

/** A path as it would be written in code: `rules[2].match.tables`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('')
}
