import type { DecisionContext, Effect, HoldTerms, MaskSet, RecordLevel, TerminalMode } from '../core/index.js'
import { compileMatch, type Test, type TextCompiler } from './compile-match.js'
import { maskSetOf } from './masks.js'
import { many, type Match } from './match.js'
import type { PolicyMode, Rule } from './rule.js'
import { FACT_KEYS, usesKey } from './scope.js'

/** A rule in the form that decisions are made with. */
export interface CompiledRule {
  /** Position among the policy's rules sorted by id: compares like the ids do. */
  readonly order: number
  readonly id: string
  readonly effect: Effect | undefined
  readonly isEnforced: boolean
  readonly evenIfUnparsed: boolean
  readonly match: Match
  readonly test: Test
  /** The only kinds of command that the rule can be about. Undefined: any. */
  readonly kinds: ReadonlySet<string> | undefined
  readonly needsFacts: boolean
  /** The harms that the rule forbids whoever does them: known ones count in a line that could not be parsed, too. */
  readonly forbidden: ReadonlySet<string> | undefined
  readonly needsClock: boolean
  readonly needsText: boolean
  readonly isTextPositive: boolean
  readonly when: ((context: DecisionContext) => unknown) | undefined
  readonly message: string | undefined
  readonly hint: string | undefined
  readonly hold: Partial<HoldTerms>
  readonly masks: MaskSet
  readonly maxRows: number | undefined
  readonly maxBytes: number | undefined
  readonly recordLevel: RecordLevel | undefined
  readonly terminal: TerminalMode | undefined
  readonly allowsRawTerminal: boolean | undefined
  readonly alert: string | undefined
}

export interface CompileRuleOptions {
  readonly order: number
  readonly mode: PolicyMode
  readonly texts: TextCompiler
}

/** Compiles a validated rule. */
export function compileRule(rule: Rule, { order, mode, texts }: CompileRuleOptions): CompiledRule {
  const match = rule.match ?? {}
  const { test, kinds, needsFacts, needsClock, needsText, isTextPositive } = compileMatch(match, {
    texts,
    isPermission: rule.effect === 'allow',
  })
  return {
    order,
    id: rule.id,
    effect: rule.effect,
    isEnforced: mode === 'enforce' && rule.mode !== 'observe',
    evenIfUnparsed: rule.evenIfUnparsed === true,
    match,
    test,
    kinds,
    needsFacts,
    forbidden: rule.effect === 'deny' ? forbiddenBy(match) : undefined,
    needsClock,
    needsText,
    isTextPositive,
    when: rule.when,
    message: rule.message,
    hint: rule.hint,
    hold: rule.hold ?? {},
    masks: maskSetOf(rule.mask),
    maxRows: rule.maxRows,
    maxBytes: rule.maxBytes,
    recordLevel: rule.recordLevel,
    terminal: rule.terminal,
    allowsRawTerminal: rule.allowsRawTerminal,
    alert: rule.alert,
  }
}

/** Only where nothing else about the command has to be known. */
function forbiddenBy({ hazards, not, ...rest }: Match): ReadonlySet<string> | undefined {
  if (hazards === undefined || usesKey(rest, FACT_KEYS) || (not !== undefined && usesKey(not, FACT_KEYS)))
    return undefined
  return new Set<string>(many(hazards))
}
