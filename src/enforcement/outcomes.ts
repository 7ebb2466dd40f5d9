import type { Command, Denial, PolicyOutcome, ReasonCode, ShellCommand, SqlCommand } from '../core/index.js'

const NO_MASKS = Object.freeze({ columns: [], detectors: [] })

/** Stands for the answer that a policy did not give. Recorded like any other. */
function refusingOutcome(reason: ReasonCode, message: string): PolicyOutcome {
  return Object.freeze({
    effect: 'deny',
    reason,
    message,
    matchedRuleIds: [],
    masks: NO_MASKS,
    recordLevel: 'statement',
    alerts: [],
  })
}

/** Fails closed: a policy that throws, or answers nonsense, has not allowed anything. */
export const ENGINE_FAILED: PolicyOutcome = refusingOutcome('engine-error', 'the policy could not be evaluated')
export const ENGINE_TIMED_OUT: PolicyOutcome = refusingOutcome('engine-error', 'the policy took too long to evaluate')
export const MASKING_FAILED: PolicyOutcome = refusingOutcome('masking', 'the masks for this command cannot be applied')

/** A session that takes no more commands: the reason is the session's. */
export function stoppedOutcome(denial: Denial): PolicyOutcome {
  return refusingOutcome(denial.reason, denial.message)
}

/**
 * What a policy's answer counts as. A text that nobody could parse is refused unless a rule decided on it
 * by name: a default, of whatever engine, does not open the door to it.
 */
export function checkedOutcome(command: Command, outcome: PolicyOutcome): PolicyOutcome {
  // The answer of a foreign engine may be anything at run time.
  const effect: string | undefined = (outcome as PolicyOutcome | undefined)?.effect
  if (effect === 'deny') return outcome
  if (effect !== 'allow' && effect !== 'hold') return ENGINE_FAILED
  // A policy that only observes says so, and would have refused it.
  if (outcome.ruleId === undefined && outcome.wouldBe === undefined && isUnparsed(command)) {
    const problem = command.facts.problem
    const what = command.kind === 'sql' ? 'the statement' : 'the command line'
    return {
      ...outcome,
      effect: 'deny',
      reason: 'unparsed',
      message: `${what} could not be understood${problem === undefined ? '' : `: ${problem}`}`,
    }
  }
  return outcome
}

function isUnparsed(command: Command): command is SqlCommand | ShellCommand {
  return (command.kind === 'sql' || command.kind === 'shell') && command.facts.certainty === 'unparsed'
}

/** The same answer, turned into what an observing enforcer does about it: nothing. */
export function observedOutcome(outcome: PolicyOutcome): PolicyOutcome {
  const effect = outcome.effect
  return effect === 'allow'
    ? outcome
    : { ...outcome, effect: 'allow', wouldBe: outcome.wouldBe === 'deny' ? 'deny' : effect }
}

/** What the client is told of a policy's no. */
export function denialOf(outcome: PolicyOutcome): Denial {
  const denial: { -readonly [K in keyof Denial]: Denial[K] } = {
    reason: outcome.reason,
    message: outcome.message === undefined ? defaultMessage(outcome) : oneLine(outcome.message),
  }
  if (outcome.ruleId !== undefined) denial.ruleId = outcome.ruleId
  if (outcome.hint !== undefined) denial.hint = outcome.hint
  return denial
}

function defaultMessage(outcome: PolicyOutcome): string {
  if (outcome.reason === 'unparsed') return 'the statement could not be understood'
  if (outcome.reason === 'engine-error') return 'the policy could not be evaluated'
  return outcome.ruleId === undefined ? 'no rule allows this' : `refused by rule \`${outcome.ruleId}\``
}

/** A refusal that is not the policy's own. */
export function refusal(reason: ReasonCode, message: string, ruleId?: string): Denial {
  return ruleId === undefined ? { reason, message } : { reason, message, ruleId }
}

/** More of what somebody wrote is not for an error message. */
const MAX_WORDS_LENGTH = 500

/** Words from outside, made fit for one line of a protocol: no controls, no line breaks, not too long. */
export function oneLine(words: string): string {
  const line = words
    .slice(0, MAX_WORDS_LENGTH * 2)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
  return line.length > MAX_WORDS_LENGTH ? `${line.slice(0, MAX_WORDS_LENGTH)}...` : line
}

/** Whether the command only plans a statement. */
export function isPrepare(command: Command): boolean {
  return command.kind === 'sql' && command.phase === 'prepare'
}

/** The dialect of commands whose results are plain text: no columns, so that detectors alone can mask them. */
export const TEXT_DIALECT = 'text'

/** What masks are compiled for. Empty for a plug-in's kind: what its results look like is not known. */
export function dialectOf(command: Command): string {
  switch (command.kind) {
    case 'sql':
      return command.dialect
    case 'shell':
    case 'terminal':
    case 'sftp':
    case 'port-forward':
    case 'ssh-request':
      return TEXT_DIALECT
    default:
      command satisfies never
      return ''
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
