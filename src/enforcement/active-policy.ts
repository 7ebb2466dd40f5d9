import {
  SallyportError,
  type MaskSet,
  type Obligations,
  type Policy,
  type PolicyOutcome,
  type ResultMasker,
  type TextMasker,
} from '../core/index.js'
import type { Masking } from '../masking/index.js'
import { denialOf, ENGINE_FAILED, MASKING_FAILED, observedOutcome, TEXT_DIALECT } from './outcomes.js'
import type { Judgement } from './types.js'

/** What the enforcer needs of the masking layer: `createMasking` makes one. */
export interface MaskCompiler extends Pick<Masking, 'compile' | 'textMasker'>, Partial<Pick<Masking, 'compileText'>> {}

/** An observing enforcer decides on no line of a terminal: it lets all of it pass, and records. */
const OBSERVED_TEXT: Obligations = Object.freeze({ terminal: 'record', allowsRawTerminal: true })

/** `observe` judges and records, and acts on nothing but revocation and a broken record. */
export type EnforcementMode = 'enforce' | 'observe'

/**
 * A policy and all that is derived from it, replaced as one. Judgements are kept by the identity of the
 * outcome: a policy that shares its outcomes pays for masks and denials once.
 */
export class ActivePolicy {
  readonly policy: Policy
  /** For text that belongs to no one command, and for what is recorded. */
  readonly textMasker: TextMasker | undefined
  readonly #masking: MaskCompiler | undefined
  readonly #mode: EnforcementMode
  readonly #judgements = new Map<string, WeakMap<PolicyOutcome, Judgement>>()
  readonly #observed = new WeakMap<PolicyOutcome, PolicyOutcome>()
  readonly #maskers = new WeakMap<MaskSet, ResultMasker>()
  readonly #textMaskers = new WeakMap<MaskSet, ResultMasker>()

  #lastOutcome: PolicyOutcome = ENGINE_FAILED
  #lastDialect = ''
  #lastJudgement: Judgement = { permitted: false, denial: denialOf(ENGINE_FAILED), outcome: ENGINE_FAILED }

  /** @throws SallyportError `invalid_policy` when the policy masks and nothing can */
  constructor(policy: Policy, masking: MaskCompiler | undefined, mode: EnforcementMode) {
    this.policy = policy
    this.#masking = masking
    this.#mode = mode
    const { columns, detectors } = policy.sessionMasks
    if (masking === undefined && columns.length + detectors.length > 0) {
      throw new SallyportError('invalid_policy', 'the policy asks for masks, but the enforcer has no `masking`')
    }
    this.textMasker = detectors.length === 0 ? undefined : masking?.textMasker(detectors)
  }

  /** What an enforcer in this mode does about an outcome. The same object for the same outcome. */
  effective(outcome: PolicyOutcome): PolicyOutcome {
    if (this.#mode === 'enforce' || outcome.effect === 'allow') return outcome
    let observed = this.#observed.get(outcome)
    if (observed === undefined) this.#observed.set(outcome, (observed = observedOutcome(outcome)))
    return observed
  }

  /**
   * The refusal that a denying outcome means, or else the permit with its obligations: for a hold, what
   * follows its approval.
   *
   * @param dialect of the command; empty when it has none
   */
  judgement(outcome: PolicyOutcome, dialect: string): Judgement {
    // One rule often decides on what comes in a row.
    if (outcome === this.#lastOutcome && dialect === this.#lastDialect) return this.#lastJudgement
    let known = this.#judgements.get(dialect)
    if (known === undefined) this.#judgements.set(dialect, (known = new WeakMap()))
    let judgement = known.get(outcome)
    if (judgement === undefined) known.set(outcome, (judgement = this.#judge(outcome, dialect)))
    this.#lastOutcome = outcome
    this.#lastDialect = dialect
    this.#lastJudgement = judgement
    return judgement
  }

  #judge(outcome: PolicyOutcome, dialect: string): Judgement {
    if (outcome.effect === 'deny') return { permitted: false, denial: denialOf(outcome), outcome }
    if (this.#mode === 'observe') {
      return { permitted: true, obligations: dialect === TEXT_DIALECT ? OBSERVED_TEXT : {}, outcome }
    }
    try {
      return { permitted: true, obligations: this.#obligations(outcome, dialect), outcome }
    } catch {
      // Fails closed: what cannot be masked is not shown.
      return { permitted: false, denial: denialOf(MASKING_FAILED), outcome }
    }
  }

  #obligations(outcome: PolicyOutcome, dialect: string): Obligations {
    const obligations: { -readonly [K in keyof Obligations]: Obligations[K] } = { recordLevel: outcome.recordLevel }
    const { masks } = outcome
    if (dialect === TEXT_DIALECT) {
      const masker = masks.detectors.length === 0 ? undefined : this.#textResultMasker(masks)
      if (masker !== undefined) obligations.masker = masker
      if (outcome.terminal !== undefined) obligations.terminal = outcome.terminal
      if (outcome.allowsRawTerminal !== undefined) obligations.allowsRawTerminal = outcome.allowsRawTerminal
    } else if (masks.columns.length + masks.detectors.length > 0) obligations.masker = this.#masker(masks, dialect)
    if (outcome.maxRows !== undefined) obligations.maxRows = outcome.maxRows
    if (outcome.maxBytes !== undefined) obligations.maxBytes = outcome.maxBytes
    return obligations
  }

  #textResultMasker(masks: MaskSet): ResultMasker | undefined {
    if (this.#masking?.compileText === undefined) {
      throw new SallyportError('invalid_policy', 'there are no masks for plain text')
    }
    let masker = this.#textMaskers.get(masks)
    if (masker === undefined) {
      masker = this.#masking.compileText(masks)
      if (masker !== undefined) this.#textMaskers.set(masks, masker)
    }
    return masker
  }

  #masker(masks: MaskSet, dialect: string): ResultMasker {
    if (this.#masking === undefined || dialect !== 'postgres') {
      throw new SallyportError('invalid_policy', `there are no masks for dialect \`${dialect}\``)
    }
    let masker = this.#maskers.get(masks)
    if (masker === undefined) this.#maskers.set(masks, (masker = this.#masking.compile(masks, dialect)))
    return masker
  }
}
