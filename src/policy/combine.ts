import type { HoldTerms, PolicyOutcome, ReasonCode, RecordLevel, TerminalMode } from '../core/index.js'
import type { CompiledRule } from './compile-rule.js'
import { NO_MASKS, unionOfMasks } from './masks.js'
import type { PolicyDefaults } from './rule.js'

/** A rule that has something to say about a command. */
export interface Finding {
  readonly rule: CompiledRule
  /** Which of the command's statements it is about; undefined: all. */
  readonly coverage: readonly boolean[] | undefined
  /**
   * `doubtful`: the command could not be parsed, so the rule may be about it; its obligations hold, its
   * effect does not. `failed`: the rule threw, rejected or answered neither true nor false.
   */
  readonly state: 'matched' | 'doubtful' | 'failed'
}

export interface CombineInput {
  /** In the order of rule ids. */
  readonly findings: readonly Finding[]
  readonly statementCount: number
  readonly isUnparsed: boolean
}

export interface CombineOptions {
  readonly isObserving: boolean
  readonly defaults: PolicyDefaults
}

const DEFAULT_HOLD: HoldTerms = { approverGroups: [], approvalsNeeded: 1, timeoutMs: 5 * 60_000 }
const RECORD_RANK: readonly RecordLevel[] = ['none', 'statement', 'full']
const STRICTNESS = { allow: 0, hold: 1, deny: 2 }

interface Verdict {
  readonly effect: 'deny' | 'hold' | 'allow'
  readonly reason: ReasonCode
  readonly rule?: CompiledRule
  readonly hold?: HoldTerms
}

/**
 * The one answer of all findings: deny > hold > allow > default deny. Nothing here depends on the order in
 * which rules were written; among equals the smallest id decides.
 */
export function combine(input: CombineInput, options: CombineOptions): PolicyOutcome {
  const acting = input.findings.filter(({ rule }) => rule.isEnforced)
  const full = judge(input.findings, input, options)
  const enforced = options.isObserving ? { ...full, effect: 'allow' as const } : judge(acting, input, options)
  const { effect, rule } = enforced
  const reason = effect === 'deny' || enforced.reason === 'default' ? enforced.reason : 'rule'
  const told = rule ?? (effect === 'deny' && reason === 'default' ? options.defaults : undefined)
  const obligations = acting.filter(({ state }) => state !== 'failed').map((finding) => finding.rule)
  const maxRows = least([...obligations.map((entry) => entry.maxRows), options.defaults.maxRows])
  const maxBytes = least([...obligations.map((entry) => entry.maxBytes), options.defaults.maxBytes])
  const terminal = strictestTerminal(obligations.flatMap((entry) => entry.terminal ?? []))
  const rawTerminal = obligations.map((entry) => entry.allowsRawTerminal).filter((allows) => allows !== undefined)
  const alerts = input.findings
    .filter(({ state }) => state === 'matched')
    .flatMap((finding) => finding.rule.alert ?? [])
  return Object.freeze({
    effect,
    reason,
    ...(rule === undefined ? {} : { ruleId: rule.id }),
    ...(told?.message === undefined || effect === 'allow' ? {} : { message: told.message }),
    ...(told?.hint === undefined || effect === 'allow' ? {} : { hint: told.hint }),
    matchedRuleIds: Object.freeze(
      input.findings.filter(({ state }) => state !== 'doubtful').map((finding) => finding.rule.id),
    ),
    masks: obligations.length === 0 ? NO_MASKS : unionOfMasks(obligations.map((entry) => entry.masks)),
    ...(maxRows === undefined || options.isObserving ? {} : { maxRows }),
    ...(maxBytes === undefined || options.isObserving ? {} : { maxBytes }),
    recordLevel:
      highest(obligations.flatMap((entry) => entry.recordLevel ?? [])) ?? options.defaults.recordLevel ?? 'statement',
    ...(terminal === undefined ? {} : { terminal }),
    ...(rawTerminal.length === 0 ? {} : { allowsRawTerminal: rawTerminal.every((allows) => allows) }),
    alerts: Object.freeze([...new Set(alerts)]),
    ...(effect === 'hold' && enforced.hold !== undefined ? { hold: enforced.hold } : {}),
    ...(full.effect !== 'allow' && STRICTNESS[full.effect] > STRICTNESS[effect] ? { wouldBe: full.effect } : {}),
  })
}

function judge(findings: readonly Finding[], input: CombineInput, { defaults }: CombineOptions): Verdict {
  const denying = findings.find(
    ({ rule, state }) => state === 'failed' || (state === 'matched' && rule.effect === 'deny'),
  )
  if (denying !== undefined) {
    return { effect: 'deny', reason: denying.state === 'failed' ? 'engine-error' : 'rule', rule: denying.rule }
  }
  const permitting = findings.filter(
    ({ rule, state }) => state === 'matched' && (!input.isUnparsed || rule.evenIfUnparsed),
  )
  const holds = permitting.filter(({ rule }) => rule.effect === 'hold')
  const allows = permitting.filter(({ rule }) => rule.effect === 'allow')
  const isCovered = Array.from({ length: input.statementCount }, (_, index) =>
    [...holds, ...allows].some(({ coverage }) => coverage === undefined || coverage[index] === true),
  )
  // Every statement needs its own permission: one that nobody speaks for is denied, and the command with it.
  if (!isCovered.every((covered) => covered)) {
    return { effect: 'deny', reason: input.isUnparsed ? 'unparsed' : 'default' }
  }
  const holding = holds[0]
  if (holding !== undefined) {
    const hold = combineHolds(
      holds.map(({ rule }) => rule.hold),
      defaults.hold,
    )
    // Fails closed: an empty list of groups would mean that anybody may approve.
    if (hold === undefined) return { effect: 'deny', reason: 'approval-unavailable', rule: holding.rule }
    return { effect: 'hold', reason: 'rule', rule: holding.rule, hold }
  }
  const allowing = allows[0]
  if (allowing === undefined) return { effect: 'deny', reason: input.isUnparsed ? 'unparsed' : 'default' }
  return { effect: 'allow', reason: 'rule', rule: allowing.rule }
}

/**
 * The strictest of all terms: most approvals, shortest wait, and approvers who are in question for every
 * rule. Undefined: the rules have no approver in common.
 */
export function combineHolds(
  terms: readonly Partial<HoldTerms>[],
  defaults: Partial<HoldTerms> = {},
): HoldTerms | undefined {
  const all = terms.map((entry): HoldTerms => ({ ...DEFAULT_HOLD, ...defined(defaults), ...defined(entry) }))
  let approverGroups: readonly string[] | undefined
  for (const { approverGroups: groups } of all) {
    if (groups.length === 0) continue
    const previous: readonly string[] | undefined = approverGroups
    approverGroups = previous === undefined ? groups : previous.filter((group) => groups.includes(group))
  }
  if (approverGroups?.length === 0) return undefined
  return Object.freeze({
    approverGroups: Object.freeze([...new Set(approverGroups ?? [])].sort()),
    approvalsNeeded: Math.max(...all.map((entry) => entry.approvalsNeeded)),
    timeoutMs: Math.min(...all.map((entry) => entry.timeoutMs)),
  })
}

/** What is undefined is not said. */
function defined(terms: Partial<HoldTerms>): Partial<HoldTerms> {
  return Object.fromEntries(Object.entries(terms).filter(([, value]) => value !== undefined))
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

function strictestTerminal(modes: readonly TerminalMode[]): TerminalMode | undefined {
  return modes.includes('guarded') ? 'guarded' : modes[0]
}

function highest(levels: readonly RecordLevel[]): RecordLevel | undefined {
  return RECORD_RANK.findLast((level) => levels.includes(level))
}
