import type { ApprovalBroker } from '../approval/index.js'
import {
  SallyportError,
  type Clock,
  type Command,
  type Denial,
  type Policy,
  type PolicyOutcome,
  type RandomBytes,
  type Resource,
  type Schedule,
  type ShellAnalyzer,
  type SqlAnalyzer,
  type Subject,
} from '../core/index.js'
import { commitmentKeyOf, type Recorder } from '../recording/index.js'
import { ActivePolicy, type EnforcementMode, type MaskCompiler } from './active-policy.js'
import { guardAnalyzer, guardShellAnalyzer } from './analyzers.js'
import { OnlookerEmitter } from './events.js'
import { resolveLimits, type EnforcerLimits, type ResolvedLimits } from './limits.js'
import { checkedOutcome, denialOf, ENGINE_FAILED } from './outcomes.js'
import { CommandDescriber } from './recorded-command.js'
import { EnforcedSession } from './session.js'
import type { SessionSurroundings } from './surroundings.js'
import type { Session, SessionOptions } from './types.js'

export interface EnforcerOptions {
  readonly policy: Policy
  /** By protocol name, such as `postgres`. */
  readonly analyzers: Readonly<Record<string, SqlAnalyzer>>
  /** Reads command lines. Undefined: every one counts as not understood. */
  readonly shellAnalyzer?: ShellAnalyzer
  /** Undefined: the policy may not ask for masks. */
  readonly masking?: MaskCompiler
  /** Undefined: nothing is recorded. */
  readonly recorder?: Recorder
  /** Undefined: every hold is a refusal. */
  readonly broker?: ApprovalBroker
  readonly clock: Clock
  readonly schedule: Schedule
  /** Makes the ids of sessions and holds. */
  readonly randomBytes: RandomBytes
  /** Default `enforce`. */
  readonly mode?: EnforcementMode
  readonly limits?: EnforcerLimits
  /**
   * Whether `setPolicy` may be called. Default true; false saves sessions without masks the look at each text
   * that belongs to no command.
   */
  readonly onlineReload?: boolean
  /**
   * Whether statement texts and bound values are masked in the record by the policy's detectors. Default true. Secrets are
   * taken out of statement texts in any case.
   */
  readonly recordTextMasked?: boolean
  /**
   * Whether what is typed into terminals is recorded, line by line. Default false. Never while the target does not echo: then it is
   * recorded that something was typed, and nothing else.
   */
  readonly recordInput?: boolean
  /** Commits what masking took out of the record: give the recorder's own. Undefined: nothing is committed. */
  readonly commitmentKey?: Uint8Array
  /** Written into every recording, such as `sallyport 0.1.0`. */
  readonly software?: string
}

/** What a policy says about a command that is not run. */
export interface Explanation {
  readonly outcome: PolicyOutcome
  /** Set when the command would be refused. */
  readonly denial?: Denial
  readonly policyDigest: string
}

/** Makes the enforcer of one gateway or one process. @throws SallyportError `invalid_option`, `invalid_policy` */
export function createEnforcer(options: EnforcerOptions): Enforcer {
  return new Enforcer(options)
}

/**
 * Joins policy, approval, masking and recording, and tells what happens by events. Opens no socket, file or
 * timer: time, timers and randomness are given to it.
 */
export class Enforcer extends OnlookerEmitter {
  readonly #options: EnforcerOptions
  readonly #limits: ResolvedLimits
  readonly #sessions = new Map<string, EnforcedSession>()
  readonly #around: SessionSurroundings

  constructor(options: EnforcerOptions) {
    super()
    this.#options = options
    this.#limits = resolveLimits(options.limits)
    const active = this.#activate(options.policy)
    const analyzers = Object.entries(options.analyzers).map(([protocol, analyzer]): [string, SqlAnalyzer] => [
      protocol,
      guardAnalyzer(analyzer),
    ])
    this.#around = {
      active,
      describer: this.#describer(active),
      emitter: this,
      analyzers: new Map(analyzers),
      shellAnalyzer: guardShellAnalyzer(options.shellAnalyzer),
      broker: options.broker,
      clock: options.clock,
      schedule: options.schedule,
      randomBytes: options.randomBytes,
      limits: this.#limits,
      isObserving: options.mode === 'observe',
      followsPolicy: options.onlineReload ?? true,
      recordsInput: options.recordInput ?? false,
      forget: (sessionId) => this.#sessions.delete(sessionId),
    }
  }

  get policy(): Policy {
    return this.#around.active.policy
  }

  /** Sessions that are open. */
  get sessions(): IterableIterator<Session> {
    return this.#sessions.values()
  }

  /**
   * Opens a session. Where its record cannot be begun it refuses every command, and says so by `onFailure`.
   *
   * @throws SallyportError `limit_exceeded` when too many are open
   */
  openSession(options: SessionOptions): Session {
    if (this.#sessions.size >= this.#limits.maxSessions) {
      throw new SallyportError('limit_exceeded', `expected at most ${this.#limits.maxSessions} sessions at once`)
    }
    const { clock, randomBytes, recorder, commitmentKey, software } = this.#options
    const sessionId = Buffer.from(randomBytes(16)).toString('hex')
    const startedAtUnixMs = clock.nowUnixMs()
    const session = new EnforcedSession(sessionId, options, startedAtUnixMs, this.#around)
    if (recorder !== undefined) {
      const header = {
        ...options,
        sessionId,
        startedAtUnixMs,
        policyDigest: this.policy.digest,
        ...(software === undefined ? {} : { software }),
      }
      const key = commitmentKey === undefined ? undefined : commitmentKeyOf(sessionId, commitmentKey)
      session.record(() => recorder.open(header), key)
    }
    this.#sessions.set(sessionId, session)
    this.emit('session', session)
    return session
  }

  /**
   * Replaces the policy, as one: commands judged before keep their outcome, later ones meet the new policy, and what
   * waits for approval is judged by it when it is approved. A policy that cannot be used leaves the old one in force.
   *
   * @throws SallyportError `invalid_policy`, or `misuse` when made with `onlineReload: false`
   */
  setPolicy(policy: Policy): void {
    if (!this.#around.followsPolicy) throw new SallyportError('misuse', 'this enforcer was made without `onlineReload`')
    const active = this.#activate(policy)
    const describer = this.#describer(active)
    this.#around.active = active
    this.#around.describer = describer
    for (const session of this.#sessions.values()) session.policyReplaced()
  }

  /**
   * Ends what these sessions may do: every later command is refused, holds end, and the driver is told to
   * close. Returns how many sessions it hit.
   */
  revoke(which: string | ((session: Session) => boolean), message = 'the session was revoked'): number {
    let count = 0
    for (const session of this.#sessions.values()) {
      if (typeof which === 'string' ? session.id !== which : !which(session)) continue
      session.revoke(message)
      count++
    }
    return count
  }

  /** What would become of a command, without running, holding, recording or telling anybody. Never rejects. */
  async explain(command: Command, subject: Subject, resource: Resource): Promise<Explanation> {
    const { policy } = this
    const nowUnixMs = this.#options.clock.nowUnixMs()
    const session = { id: 'explain', startedAtUnixMs: nowUnixMs }
    let outcome: PolicyOutcome
    try {
      outcome = checkedOutcome(command, await policy.decide({ command, subject, resource, session, nowUnixMs }))
    } catch {
      outcome = ENGINE_FAILED
    }
    const denied = outcome.effect === 'deny' ? { denial: denialOf(outcome) } : {}
    return { outcome, ...denied, policyDigest: policy.digest }
  }

  #activate(policy: Policy): ActivePolicy {
    return new ActivePolicy(policy, this.#options.masking, this.#options.mode ?? 'enforce')
  }

  #describer(active: ActivePolicy): CommandDescriber {
    return new CommandDescriber((this.#options.recordTextMasked ?? true) ? active.textMasker : undefined)
  }
}
