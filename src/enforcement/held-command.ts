import {
  approveHold,
  createHold,
  holdDigest,
  releaseHold,
  type Approval,
  type ApprovalBroker,
  type ApprovalResolution,
  type HoldRefusal,
  type HoldRequest,
} from '../approval/index.js'
import type { Command, Denial, HoldTerms, PolicyOutcome, ReasonCode, SessionContext } from '../core/index.js'
import type { RecordingEvent } from '../recording/index.js'
import { ApprovalWait } from './approval-wait.js'
import { dialectOf, ENGINE_FAILED, oneLine, refusal } from './outcomes.js'
import type { SessionSurroundings } from './surroundings.js'
import type { Judgement, Session } from './types.js'

/** What a held command needs of its session. */
export interface HoldHost {
  readonly session: Session
  readonly context: SessionContext
  readonly around: SessionSurroundings
  /** Set once the session takes no more commands. */
  stopped(): Denial | undefined
  /** The policy's answer of now. Never rejects. */
  decide(command: Command): Promise<PolicyOutcome>
  /** Puts the judgement on record. */
  conclude(
    command: Command,
    judgement: Judgement,
    outcome: PolicyOutcome,
    holdId: string | undefined,
  ): Judgement | Promise<Judgement>
  append(event: RecordingEvent): void
}

/**
 * A command on its way through a hold: asked for, waited for, judged again, released or refused. When the
 * policy was replaced meanwhile and still wants approval, it is asked for anew: what was given under the old
 * policy does not count under the new one.
 *
 * INVARIANT: it is permitted only by a policy that allows it now, or with approvals that meet, by the pure state
 * machine, the terms of now for exactly the command that would run.
 */
export class HeldCommand {
  readonly #host: HoldHost
  readonly #command: Command
  readonly #inform: (text: string) => void
  /** Resolves when the command is judged and recorded. */
  readonly done: Promise<Judgement>
  #finish!: (judgement: Judgement | Promise<Judgement>) => void
  #wait: ApprovalWait | undefined
  #isWithdrawn = false

  constructor(host: HoldHost, command: Command, inform: (text: string) => void) {
    this.#host = host
    this.#command = command
    this.#inform = inform
    this.done = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** Call once. `done` never rejects. */
  start(outcome: PolicyOutcome): void {
    this.#finish(this.#run(outcome))
  }

  withdraw(): void {
    this.#isWithdrawn = true
    this.#wait?.withdraw()
  }

  async #run(outcome: PolicyOutcome): Promise<Judgement> {
    try {
      return await this.#askUntilSettled(outcome)
    } catch {
      // Fails closed: whatever went wrong in between, nobody approved this.
      return await this.#refuse(ENGINE_FAILED, refusal('engine-error', 'the hold could not be set up'))
    }
  }

  async #askUntilSettled(first: PolicyOutcome): Promise<Judgement> {
    const { around, session } = this.#host
    let outcome = first
    for (let round = 0; round < around.limits.maxHoldRounds; round++) {
      const { broker } = around
      const { ruleId } = outcome
      if (broker === undefined) {
        return this.#refuse(outcome, refusal('approval-unavailable', 'nobody can be asked for approval', ruleId))
      }
      const policyDigest = session.policy.digest
      const request = this.#request(outcome)
      const resolution = await this.#ask(broker, request)
      const stopped = this.#host.stopped()
      if (stopped !== undefined) return this.#refuse(outcome, stopped, request.id)
      if (resolution.outcome !== 'approved') {
        return this.#refuse(outcome, resolutionDenial(resolution, ruleId), request.id)
      }

      // Judged again, with the policy and the time of now: an approval does not outweigh a prohibition.
      outcome = await this.#host.decide(this.#command)
      const refused = this.#host.stopped() ?? (this.#isWithdrawn ? resolutionDenial(WITHDRAWN, ruleId) : undefined)
      if (refused !== undefined) return this.#refuse(outcome, refused, request.id)
      const problem = outcome.effect === 'hold' ? this.#problem(request, outcome, resolution.by) : undefined
      if (problem === undefined) return this.#release(outcome, request, resolution.by)
      if (problem.code !== 'digest-mismatch' || policyDigest === session.policy.digest) {
        return this.#refuse(outcome, refusal(reasonOf(problem), problem.message, ruleId), request.id)
      }
    }
    return this.#refuse(outcome, refusal('approval-expired', 'the policy kept changing', outcome.ruleId))
  }

  /** Fails closed by throwing: on terms that make no sense, and on a command that no digest can be made of. */
  #request(outcome: PolicyOutcome): HoldRequest {
    const { around, context, session } = this.#host
    const { clientAddress, clientName } = context
    return {
      id: Buffer.from(around.randomBytes(8)).toString('hex'),
      digest: this.#digest(),
      requester: session.subject,
      terms: this.#terms(outcome),
      sessionId: session.id,
      resource: session.resource,
      ...(clientAddress === undefined ? {} : { clientAddress }),
      ...(clientName === undefined ? {} : { clientName }),
      command: this.#command,
      ...(outcome.ruleId === undefined ? {} : { ruleId: outcome.ruleId }),
      ...(outcome.message === undefined ? {} : { message: outcome.message }),
      requestedAtUnixMs: around.clock.nowUnixMs(),
    }
  }

  #digest(): string {
    const { subject, resource, id: sessionId, policy } = this.#host.session
    return holdDigest({ subject, resource, sessionId, command: this.#command, policyDigest: policy.digest })
  }

  #terms(outcome: PolicyOutcome): HoldTerms {
    const { maxHoldMs, defaultHoldMs } = this.#host.around.limits
    const terms = outcome.hold ?? { approverGroups: [], approvalsNeeded: 1, timeoutMs: defaultHoldMs }
    return terms.timeoutMs > maxHoldMs ? { ...terms, timeoutMs: maxHoldMs } : terms
  }

  async #ask(broker: ApprovalBroker, request: HoldRequest): Promise<ApprovalResolution> {
    const command = this.#command
    const { around, session } = this.#host
    const { schedule, limits, describer, emitter } = around
    const { id: holdId, digest, terms, ruleId } = request
    // Throws on terms that make no sense, before anybody is asked.
    const { expiresAtUnixMs } = createHold(request, request.requestedAtUnixMs)
    const rule = ruleId === undefined ? {} : { ruleId }
    this.#host.append({
      type: 'hold',
      atUnixMs: request.requestedAtUnixMs,
      commandId: command.id,
      holdId,
      digest,
      ...rule,
      ...(command.kind === 'sql' ? {} : { kind: command.kind }),
      ...textOf(command, (text) => describer.text(text)),
      approverGroups: terms.approverGroups,
      approvalsNeeded: terms.approvalsNeeded,
      expiresAtUnixMs,
    })
    if (this.#isWithdrawn || this.#host.stopped() !== undefined) return WITHDRAWN
    const wait = new ApprovalWait({ broker, request, schedule, remindMs: limits.remindMs, inform: this.#inform })
    this.#wait = wait
    const running = wait.run()
    emitter.emit('hold', { session, command, holdId, digest, ...rule, terms, expiresAtUnixMs })
    const resolution = await running
    this.#wait = undefined
    this.#recordResolution(holdId, resolution)
    return resolution
  }

  #recordResolution(holdId: string, resolution: ApprovalResolution): void {
    const { clock, describer } = this.#host.around
    const base = { type: 'approval', atUnixMs: clock.nowUnixMs(), commandId: this.#command.id, holdId } as const
    switch (resolution.outcome) {
      case 'approved':
        for (const { approver, comment } of resolution.by) {
          const words = comment === undefined ? {} : { comment: describer.text(comment) }
          this.#host.append({ ...base, outcome: 'approved', approver: approver.id, ...words })
        }
        return
      case 'rejected': {
        const { by, reason } = resolution
        this.#host.append({ ...base, outcome: 'rejected', approver: by.id, comment: describer.text(reason) })
        return
      }
      case 'expired':
      case 'withdrawn':
        this.#host.append({ ...base, outcome: resolution.outcome })
        return
      case 'limit':
      case 'unavailable':
        this.#host.append({ ...base, outcome: 'unavailable', comment: resolution.message })
        return
      default:
        resolution satisfies never
    }
  }

  /** Counts the broker's approvals through the state machine again, by the terms and the command of now. */
  #problem(request: HoldRequest, outcome: PolicyOutcome, by: readonly Approval[]): HoldRefusal | undefined {
    const nowUnixMs = this.#host.around.clock.nowUnixMs()
    const digest = this.#digest()
    // First: under another policy the approvals are not even counted.
    if (digest !== request.digest)
      return { code: 'digest-mismatch', message: 'what would run is not what was approved' }
    let hold = createHold({ ...request, terms: this.#terms(outcome) }, request.requestedAtUnixMs)
    for (const { approver } of by) {
      if (hold.phase !== 'waiting') break
      const step = approveHold(hold, approver, nowUnixMs)
      if (!step.ok) return step.refusal
      hold = step.hold
    }
    const step = releaseHold(hold, digest, nowUnixMs)
    return step.ok ? undefined : step.refusal
  }

  async #release(outcome: PolicyOutcome, request: HoldRequest, by: readonly Approval[]): Promise<Judgement> {
    const command = this.#command
    const { around, session } = this.#host
    const judgement = around.active.judgement(outcome, dialectOf(command))
    const concluded = await this.#host.conclude(command, judgement, outcome, request.id)
    if (concluded.permitted) around.emitter.emit('released', { session, command, holdId: request.id, by })
    return concluded
  }

  #refuse(outcome: PolicyOutcome, denial: Denial, holdId?: string): Judgement | Promise<Judgement> {
    return this.#host.conclude(this.#command, { permitted: false, denial, outcome }, outcome, holdId)
  }
}

/** A plug-in's kind need not have one. */
function textOf(command: { readonly text?: unknown }, mask: (text: string) => string): { readonly text?: string } {
  return typeof command.text === 'string' ? { text: mask(command.text) } : {}
}

const WITHDRAWN: ApprovalResolution = { outcome: 'withdrawn' }

function resolutionDenial(resolution: ApprovalResolution, ruleId: string | undefined): Denial {
  switch (resolution.outcome) {
    case 'rejected': {
      const why = resolution.reason === '' ? '' : `: ${oneLine(resolution.reason)}`
      return refusal('approval-rejected', `rejected by \`${oneLine(resolution.by.id)}\`${why}`, ruleId)
    }
    case 'expired':
      return refusal('approval-expired', 'nobody approved it in time', ruleId)
    case 'withdrawn':
      return refusal('withdrawn', 'withdrawn while it waited for approval', ruleId)
    case 'limit':
      return refusal('limit', oneLine(resolution.message), ruleId)
    case 'approved':
    case 'unavailable':
      return refusal('approval-unavailable', 'nobody can be asked for approval', ruleId)
    default:
      return resolution satisfies never
  }
}

function reasonOf(problem: HoldRefusal): ReasonCode {
  return problem.code === 'expired' ? 'approval-expired' : 'approval-unavailable'
}
