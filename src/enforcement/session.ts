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
import type {
  Clock,
  Command,
  CommandAnswer,
  DecisionContext,
  Denial,
  HoldTerms,
  Policy,
  PolicyOutcome,
  RandomBytes,
  ReasonCode,
  Resource,
  Schedule,
  SessionContext,
  SqlAnalyzer,
  Subject,
  TextMasker,
} from '../core/index.js'
import type { RecordingEvent, SessionRecorder } from '../recording/index.js'
import type { ActivePolicy } from './active-policy.js'
import { analyzerFor } from './analyzers.js'
import { ApprovalWait } from './approval-wait.js'
import type { OnlookerEmitter } from './events.js'
import type { ResolvedLimits } from './limits.js'
import { checkedOutcome, denialOf, ENGINE_FAILED, ENGINE_TIMED_OUT, isThenable, stoppedOutcome } from './outcomes.js'
import { CommandDescriber, maskedCommitments } from './recorded-command.js'
import type { Judgement, Session, SessionOptions } from './types.js'

/** What all sessions of an enforcer share. */
export interface SessionSurroundings {
  /** Replaced as one when the policy is. */
  active: ActivePolicy
  /** Masks what is recorded; belongs to `active`. */
  describer: CommandDescriber
  readonly emitter: OnlookerEmitter
  readonly analyzers: ReadonlyMap<string, SqlAnalyzer>
  readonly broker: ApprovalBroker | undefined
  readonly clock: Clock
  readonly schedule: Schedule
  readonly randomBytes: RandomBytes
  readonly limits: ResolvedLimits
  readonly isObserving: boolean
  readonly followsPolicy: boolean
  forget(session: EnforcedSession): void
}

interface Held {
  wait: ApprovalWait | undefined
  isWithdrawn: boolean
  done: Promise<Judgement> | undefined
}

/** A refusal that is not the policy's own. */
const refusal = (reason: ReasonCode, message: string, ruleId?: string): Denial =>
  ruleId === undefined ? { reason, message } : { reason, message, ruleId }

const EXHAUSTED: PolicyOutcome = stoppedOutcome(refusal('limit', 'this session has used up what it may do'))
const EXHAUSTED_JUDGEMENT: Judgement = { permitted: false, denial: denialOf(EXHAUSTED), outcome: EXHAUSTED }

/** Permitted commands without a record whose answers are awaited. More is a protocol that does not answer all of them. */
const MAX_UNRECORDED = 4_096

const RECORD_FAILED: Denial = refusal('recorder-unavailable', 'the session cannot be recorded')

/**
 * The session of `createEnforcer`.
 *
 * Theory of operation. `judge` decides synchronously and, unless something really has to wait, answers so.
 * Whatever ends the session (revocation, a record that cannot be written, `end`) sets `#stopped`, which is the
 * first thing every later command meets and the first thing every wait looks at when it is over.
 *
 * INVARIANT: a permit is answered only after its command was given to the recorder, and with durable
 * recording only after it is on disk.
 */
export class EnforcedSession implements Session {
  readonly id: string
  readonly subject: Subject
  readonly resource: Resource
  readonly textMasker: TextMasker | undefined
  readonly #around: SessionSurroundings
  readonly #context: SessionContext
  readonly #held = new Map<number, Held>()
  readonly #listeners: ((denial: Denial) => void)[] = []
  /** Permitted commands that are not to be recorded: their answers are not either. */
  readonly #unrecorded = new Set<number>()
  #recorder: SessionRecorder | undefined
  #commitmentKey: Uint8Array | undefined
  #isDurable = false
  #stopped: Denial | undefined
  #stoppedOutcome: PolicyOutcome | undefined
  #failure: Denial | undefined
  #ended: Promise<void> | undefined
  /** The end marker is being written: nothing may follow it. */
  #isClosed = false
  #commands = 0
  #rows = 0
  #bytes = 0

  constructor(id: string, options: SessionOptions, startedAtUnixMs: number, around: SessionSurroundings) {
    this.id = id
    this.subject = options.subject
    this.resource = options.resource
    this.#around = around
    this.#context = {
      id,
      startedAtUnixMs,
      ...(options.clientAddress === undefined ? {} : { clientAddress: options.clientAddress }),
      ...(options.clientName === undefined ? {} : { clientName: options.clientName }),
    }
    this.textMasker = textMaskerOf(around)
  }

  /** Begins the record. Called once, before the session is given away. */
  record(open: () => SessionRecorder, commitmentKey: Uint8Array | undefined): void {
    try {
      const recorder = open()
      this.#recorder = recorder
      this.#isDurable = recorder.durability === 'durable'
      this.#commitmentKey = commitmentKey
      recorder.onFailure(() => this.#fail())
      if (recorder.failure !== undefined) this.#fail()
    } catch {
      // Fails closed: the session opens, and refuses everything with the reason.
      this.#fail()
    }
  }

  get policy(): Policy {
    return this.#around.active.policy
  }

  get failure(): Denial | undefined {
    return this.#failure
  }

  analyzer(protocol: string): SqlAnalyzer {
    return analyzerFor(this.#around.analyzers, protocol)
  }

  judge(command: Command, inform: (text: string) => void): Judgement | Promise<Judgement> {
    this.#commands++
    try {
      if (this.#stopped !== undefined || this.#isExhausted()) return this.#refuseUnjudged(command)
      const outcome = this.#decide(command)
      if (isThenable(outcome)) return this.#judgeLater(command, inform, outcome)
      return this.#act(command, inform, outcome)
    } catch {
      return this.#judgeBroken(command)
    }
  }

  withdraw(commandId: number): void {
    const held = this.#held.get(commandId)
    if (held === undefined) return
    held.isWithdrawn = true
    held.wait?.withdraw()
  }

  answered(commandId: number, answer: CommandAnswer): void {
    this.#rows += answer.rows
    this.#bytes += answer.bytes
    const isRecorded = !this.#unrecorded.delete(commandId)
    if (isRecorded && this.#recorder !== undefined && !this.#isClosed && this.#failure === undefined) {
      try {
        this.#recorder.answer(commandId, answer, this.#around.clock.nowUnixMs())
      } catch {
        this.#fail()
      }
    }
    this.#around.emitter.emit('answer', this, commandId, answer)
  }

  output(commandId: number, channel: string, bytes: Uint8Array): void {
    this.#append({ type: 'output', atUnixMs: this.#around.clock.nowUnixMs(), commandId, channel, bytes })
  }

  onFailure(listener: (denial: Denial) => void): void {
    if (this.#stopped === undefined) this.#listeners.push(listener)
    else if (this.#ended === undefined) tell(listener, this.#stopped)
  }

  /** Refuses everything from here on and ends what waits. */
  revoke(message: string): void {
    if (this.#stopped !== undefined) return
    this.#append({ type: 'note', atUnixMs: this.#around.clock.nowUnixMs(), text: `revoked: ${message}` })
    this.#stop(refusal('revoked', message))
  }

  /** Notes on record that other rules apply from here on. */
  policyReplaced(): void {
    const details = { policyDigest: this.policy.digest }
    this.#append({ type: 'note', atUnixMs: this.#around.clock.nowUnixMs(), text: 'policy replaced', details })
  }

  end(reason: string): Promise<void> {
    this.#ended ??= this.#finish(reason)
    return this.#ended
  }

  async #finish(reason: string): Promise<void> {
    this.#listeners.length = 0
    this.#stop(refusal('withdrawn', 'the session has ended'))
    // What waited is recorded as refused before the end marker is written.
    await Promise.allSettled([...this.#held.values()].map((held) => held.done))
    this.#isClosed = true
    if (this.#failure === undefined) {
      try {
        await this.#recorder?.close(reason)
      } catch {
        this.#fail()
      }
    }
    this.#around.forget(this)
    this.#around.emitter.emit('end', this, reason)
  }

  #stop(denial: Denial): void {
    if (this.#stopped === undefined) this.#stopped = denial
    for (const held of this.#held.values()) held.wait?.withdraw()
    for (const listener of this.#listeners.splice(0)) tell(listener, denial)
  }

  #fail(): void {
    if (this.#failure !== undefined) return
    this.#failure = RECORD_FAILED
    // A broken record outweighs whatever stopped the session before.
    this.#stopped = undefined
    this.#stoppedOutcome = undefined
    this.#stop(RECORD_FAILED)
  }

  /** The policy's answer, or the promise of one. Never throws. */
  #decide(command: Command): PolicyOutcome | PromiseLike<PolicyOutcome> {
    try {
      const around = this.#around
      const context: DecisionContext = {
        command,
        subject: this.subject,
        resource: this.resource,
        session: this.#context,
        nowUnixMs: around.clock.nowUnixMs(),
      }
      const answer = around.active.policy.decide(context)
      return isThenable(answer) ? answer : around.active.effective(checkedOutcome(command, answer))
    } catch {
      return this.#around.active.effective(ENGINE_FAILED)
    }
  }

  async #judgeLater(
    command: Command,
    inform: (text: string) => void,
    pending: PromiseLike<PolicyOutcome>,
  ): Promise<Judgement> {
    const outcome = await this.#settled(command, pending)
    try {
      if (this.#stopped !== undefined) return await this.#refuseUnjudged(command)
      return await this.#act(command, inform, outcome)
    } catch {
      return this.#judgeBroken(command)
    }
  }

  /** Fails closed: an outcome that lacks its parts, from whatever engine, is none. */
  #judgeBroken(command: Command): Judgement | Promise<Judgement> {
    const { active } = this.#around
    const outcome = active.effective(ENGINE_FAILED)
    return this.#conclude(command, active.judgement(outcome, dialectOf(command)), outcome, undefined)
  }

  /** Waits for an engine, for so long only. */
  #settled(command: Command, pending: PromiseLike<PolicyOutcome>): Promise<PolicyOutcome> {
    const { active, schedule, limits } = this.#around
    return new Promise((resolve) => {
      const cancel = schedule(limits.engineTimeoutMs, () => resolve(active.effective(ENGINE_TIMED_OUT)))
      const settle = (decide: () => PolicyOutcome): void => {
        cancel()
        try {
          resolve(active.effective(decide()))
        } catch {
          resolve(active.effective(ENGINE_FAILED))
        }
      }
      pending.then(
        (answer) => settle(() => checkedOutcome(command, answer)),
        () => settle(() => ENGINE_FAILED),
      )
    })
  }

  #act(command: Command, inform: (text: string) => void, outcome: PolicyOutcome): Judgement | Promise<Judgement> {
    if (outcome.effect === 'hold' && !isPrepare(command)) {
      const held: Held = { wait: undefined, isWithdrawn: false, done: undefined }
      this.#held.set(command.id, held)
      held.done = this.#hold(command, inform, outcome, held)
      return held.done
    }
    return this.#conclude(command, this.#around.active.judgement(outcome, dialectOf(command)), outcome, undefined)
  }

  #refuseUnjudged(command: Command): Judgement | Promise<Judgement> {
    if (this.#stopped === undefined) return this.#conclude(command, EXHAUSTED_JUDGEMENT, EXHAUSTED, undefined)
    const outcome = (this.#stoppedOutcome ??= stoppedOutcome(this.#stopped))
    return this.#conclude(command, { permitted: false, denial: this.#stopped, outcome }, outcome, undefined)
  }

  #isExhausted(): boolean {
    const { limits } = this.#around
    return (
      this.#commands > limits.maxSessionCommands ||
      this.#rows >= limits.maxSessionRows ||
      this.#bytes >= limits.maxSessionBytes
    )
  }

  /** Puts the judgement on record, and answers with it, or with the refusal that a failing record means. */
  #conclude(
    command: Command,
    judgement: Judgement,
    outcome: PolicyOutcome,
    holdId: string | undefined,
  ): Judgement | Promise<Judgement> {
    const around = this.#around
    const recorder = this.#recorder
    if (this.#failure !== undefined) return this.#decided(command, this.#recordRefusal(outcome), holdId)
    // A statement that is only planned here is judged again when it runs.
    if (outcome.alerts.length > 0 && !(judgement.permitted && isPrepare(command))) this.#raiseAlerts(command, outcome)
    if (recorder === undefined || this.#isClosed) return this.#decided(command, judgement, holdId)
    if (judgement.permitted && outcome.recordLevel === 'none' && holdId === undefined) {
      if (this.#unrecorded.size >= MAX_UNRECORDED) this.#unrecorded.clear()
      this.#unrecorded.add(command.id)
      return this.#decided(command, judgement, holdId)
    }
    try {
      const event = around.describer.event(command, outcome, judgement.permitted, around.clock.nowUnixMs())
      if (!judgement.permitted && (outcome.effect !== 'deny' || judgement.denial.reason !== outcome.reason)) {
        event.refusal = judgement.denial.reason
      }
      if (holdId !== undefined) event.holdId = holdId
      recorder.command(event)
      if (this.#commitmentKey !== undefined) this.#commit(command, event, this.#commitmentKey)
    } catch {
      this.#fail()
    }
    // The recorder, or the note above, may have failed without a throw.
    if (this.#failure !== undefined || recorder.failure !== undefined) {
      this.#fail()
      return this.#decided(command, this.#recordRefusal(outcome), holdId)
    }
    if (!judgement.permitted || !this.#isDurable) return this.#decided(command, judgement, holdId)
    return this.#flushedThen(command, judgement, outcome, holdId, recorder)
  }

  async #flushedThen(
    command: Command,
    judgement: Judgement,
    outcome: PolicyOutcome,
    holdId: string | undefined,
    recorder: SessionRecorder,
  ): Promise<Judgement> {
    try {
      await recorder.flushed()
    } catch {
      this.#fail()
    }
    const stopped = this.#stopped
    if (stopped === undefined) return this.#decided(command, judgement, holdId)
    if (this.#failure === undefined) {
      const text = `command ${command.id} was refused after all: ${stopped.reason}`
      this.#append({ type: 'note', atUnixMs: this.#around.clock.nowUnixMs(), text })
    }
    return this.#decided(command, { permitted: false, denial: stopped, outcome }, holdId)
  }

  #recordRefusal(outcome: PolicyOutcome): Judgement {
    return { permitted: false, denial: RECORD_FAILED, outcome }
  }

  #decided(command: Command, judgement: Judgement, holdId: string | undefined): Judgement {
    const { emitter, clock } = this.#around
    if (emitter.listenerCount('decision') > 0) {
      const event = { session: this, command, judgement, atUnixMs: clock.nowUnixMs() }
      emitter.emit('decision', holdId === undefined ? event : { ...event, holdId })
    }
    return judgement
  }

  #raiseAlerts(command: Command, outcome: PolicyOutcome): void {
    const rule = outcome.ruleId === undefined ? {} : { ruleId: outcome.ruleId }
    for (const text of outcome.alerts) {
      this.#append({ type: 'alert', atUnixMs: this.#around.clock.nowUnixMs(), commandId: command.id, ...rule, text })
      this.#around.emitter.emit('alert', { session: this, command, ...rule, text })
    }
  }

  #commit(command: Command, event: Parameters<SessionRecorder['command']>[0], key: Uint8Array): void {
    const details = maskedCommitments(command, event, key)
    if (details !== undefined) this.#append({ type: 'note', atUnixMs: event.atUnixMs, text: 'masked', details })
  }

  #append(event: RecordingEvent): void {
    if (this.#recorder === undefined || this.#isClosed || this.#failure !== undefined) return
    try {
      this.#recorder.append(event)
    } catch {
      this.#fail()
    }
  }

  async #hold(
    command: Command,
    inform: (text: string) => void,
    outcome: PolicyOutcome,
    held: Held,
  ): Promise<Judgement> {
    try {
      // Later, so that `end` finds this wait whoever calls it, and the driver is out of `judge`.
      await Promise.resolve()
      return await this.#askUntilSettled(command, inform, outcome, held)
    } catch {
      // Fails closed: whatever went wrong in between, nobody approved this.
      return await this.#refuseHeld(command, ENGINE_FAILED, refusal('engine-error', 'the hold could not be set up'))
    } finally {
      this.#held.delete(command.id)
    }
  }

  async #askUntilSettled(
    command: Command,
    inform: (text: string) => void,
    first: PolicyOutcome,
    held: Held,
  ): Promise<Judgement> {
    let outcome = first
    for (let round = 0; round < this.#around.limits.maxHoldRounds; round++) {
      const { broker } = this.#around
      const ruleId = outcome.ruleId
      if (broker === undefined) {
        return this.#refuseHeld(command, outcome, refusal('approval-unavailable', 'nobody can be asked', ruleId))
      }
      const policyDigest = this.policy.digest
      const request = this.#holdRequest(command, outcome)
      const resolution = await this.#ask(broker, command, inform, request, held)
      if (this.#stopped !== undefined) return this.#refuseHeld(command, outcome, this.#stopped, request.id)
      if (resolution.outcome !== 'approved') {
        return this.#refuseHeld(command, outcome, resolutionDenial(resolution, ruleId), request.id)
      }

      // Judged again, with the policy and the time of now: an approval does not outweigh a prohibition.
      const again = await this.#decideAgain(command)
      if (this.#stopped !== undefined) return this.#refuseHeld(command, again, this.#stopped, request.id)
      if (held.isWithdrawn) {
        return this.#refuseHeld(command, again, resolutionDenial({ outcome: 'withdrawn' }, ruleId), request.id)
      }
      const judgement = this.#around.active.judgement(again, dialectOf(command))
      if (again.effect !== 'hold') return this.#release(command, judgement, again, request, resolution.by)
      const problem = this.#releaseProblem(request, command, again, resolution.by)
      if (problem === undefined) return this.#release(command, judgement, again, request, resolution.by)
      if (problem.code !== 'digest-mismatch' || policyDigest === this.policy.digest) {
        return this.#refuseHeld(command, again, refusal(reasonOf(problem), problem.message, ruleId), request.id)
      }
      // Another policy asks for approval on its own terms: what was given under the old one does not count.
      outcome = again
    }
    return this.#refuseHeld(command, outcome, refusal('approval-expired', 'the policy kept changing', outcome.ruleId))
  }

  /** Fails closed by throwing: on terms that make no sense, and on a command that no digest can be made of. */
  #holdRequest(command: Command, outcome: PolicyOutcome): HoldRequest {
    const { randomBytes, clock } = this.#around
    const terms = this.#termsOf(outcome)
    const { clientAddress, clientName } = this.#context
    return {
      id: Buffer.from(randomBytes(8)).toString('hex'),
      digest: this.#digestOf(command),
      requester: this.subject,
      terms,
      sessionId: this.id,
      resource: this.resource,
      ...(clientAddress === undefined ? {} : { clientAddress }),
      ...(clientName === undefined ? {} : { clientName }),
      command,
      ...(outcome.ruleId === undefined ? {} : { ruleId: outcome.ruleId }),
      ...(outcome.message === undefined ? {} : { message: outcome.message }),
      requestedAtUnixMs: clock.nowUnixMs(),
    }
  }

  #digestOf(command: Command): string {
    const { subject, resource, id: sessionId } = this
    return holdDigest({ subject, resource, sessionId, command, policyDigest: this.policy.digest })
  }

  #termsOf(outcome: PolicyOutcome): HoldTerms {
    const { maxHoldMs, defaultHoldMs } = this.#around.limits
    const terms = outcome.hold ?? { approverGroups: [], approvalsNeeded: 1, timeoutMs: defaultHoldMs }
    return terms.timeoutMs > maxHoldMs ? { ...terms, timeoutMs: maxHoldMs } : terms
  }

  async #ask(
    broker: ApprovalBroker,
    command: Command,
    inform: (text: string) => void,
    request: HoldRequest,
    held: Held,
  ): Promise<ApprovalResolution> {
    const { schedule, limits, describer, emitter } = this.#around
    const { terms, ruleId } = request
    // Throws on terms that make no sense, before anybody is asked.
    const { expiresAtUnixMs } = createHold(request, request.requestedAtUnixMs)
    const rule = ruleId === undefined ? {} : { ruleId }
    this.#append({
      type: 'hold',
      atUnixMs: request.requestedAtUnixMs,
      commandId: command.id,
      holdId: request.id,
      digest: request.digest,
      ...rule,
      ...(command.kind === 'sql' ? { text: describer.text(command.text) } : {}),
      approverGroups: terms.approverGroups,
      approvalsNeeded: terms.approvalsNeeded,
      expiresAtUnixMs,
    })
    if (this.#stopped !== undefined) return { outcome: 'withdrawn' }
    const wait = new ApprovalWait({ broker, request, schedule, remindMs: limits.remindMs, inform })
    held.wait = wait
    if (held.isWithdrawn) wait.withdraw()
    const { id: holdId, digest } = request
    const running = wait.run()
    emitter.emit('hold', { session: this, command, holdId, digest, ...rule, terms, expiresAtUnixMs })
    const resolution = await running
    held.wait = undefined
    this.#recordResolution(command.id, holdId, resolution)
    return resolution
  }

  #recordResolution(commandId: number, holdId: string, resolution: ApprovalResolution): void {
    const { clock, describer } = this.#around
    const base = { type: 'approval', atUnixMs: clock.nowUnixMs(), commandId, holdId } as const
    switch (resolution.outcome) {
      case 'approved':
        for (const { approver, comment } of resolution.by) {
          const words = comment === undefined ? {} : { comment: describer.text(comment) }
          this.#append({ ...base, outcome: 'approved', approver: approver.id, ...words })
        }
        return
      case 'rejected': {
        const { by, reason } = resolution
        this.#append({ ...base, outcome: 'rejected', approver: by.id, comment: describer.text(reason) })
        return
      }
      case 'expired':
      case 'withdrawn':
        this.#append({ ...base, outcome: resolution.outcome })
        return
      case 'limit':
      case 'unavailable':
        this.#append({ ...base, outcome: 'unavailable', comment: resolution.message })
        return
      default:
        // A foreign broker may say anything: `resolutionDenial` refuses it.
        resolution satisfies never
    }
  }

  async #decideAgain(command: Command): Promise<PolicyOutcome> {
    const outcome = this.#decide(command)
    return isThenable(outcome) ? this.#settled(command, outcome) : outcome
  }

  /** Counts the broker's approvals through the state machine again, by the terms and the command of now. */
  #releaseProblem(
    request: HoldRequest,
    command: Command,
    outcome: PolicyOutcome,
    by: readonly Approval[],
  ): HoldRefusal | undefined {
    const nowUnixMs = this.#around.clock.nowUnixMs()
    const digest = this.#digestOf(command)
    let hold = createHold({ ...request, terms: this.#termsOf(outcome) }, request.requestedAtUnixMs)
    // A mismatch comes first: under another policy the approvals are not even counted.
    if (digest !== hold.digest) return { code: 'digest-mismatch', message: 'what would run is not what was approved' }
    for (const { approver } of by) {
      if (hold.phase !== 'waiting') break
      const step = approveHold(hold, approver, nowUnixMs)
      if (!step.ok) return step.refusal
      hold = step.hold
    }
    const step = releaseHold(hold, digest, nowUnixMs)
    return step.ok ? undefined : step.refusal
  }

  async #release(
    command: Command,
    judgement: Judgement,
    outcome: PolicyOutcome,
    request: HoldRequest,
    by: readonly Approval[],
  ): Promise<Judgement> {
    const concluded = await this.#conclude(command, judgement, outcome, request.id)
    if (concluded.permitted) {
      this.#around.emitter.emit('released', { session: this, command, holdId: request.id, by })
    }
    return concluded
  }

  #refuseHeld(
    command: Command,
    outcome: PolicyOutcome,
    denial: Denial,
    holdId?: string,
  ): Judgement | Promise<Judgement> {
    return this.#conclude(command, { permitted: false, denial, outcome }, outcome, holdId)
  }
}

/** A hold waits for the values: planning a statement runs nothing. */
function isPrepare(command: Command): boolean {
  return command.kind === 'sql' && command.phase === 'prepare'
}

function dialectOf(command: Command): string {
  return command.kind === 'sql' ? command.dialect : ''
}

/** The masker of the session's whole life; where the policy may be replaced, one that asks for the present one's. */
function textMaskerOf(around: SessionSurroundings): TextMasker | undefined {
  if (around.isObserving) return undefined
  if (!around.followsPolicy) return around.active.textMasker
  return { maskText: (text) => around.active.textMasker?.maskText(text) ?? text }
}

function resolutionDenial(resolution: ApprovalResolution, ruleId: string | undefined): Denial {
  switch (resolution.outcome) {
    case 'rejected': {
      const why = typeof resolution.reason === 'string' && resolution.reason !== '' ? `: ${resolution.reason}` : ''
      return refusal('approval-rejected', `rejected by \`${resolution.by.id}\`${why}`, ruleId)
    }
    case 'expired':
      return refusal('approval-expired', 'nobody approved it in time', ruleId)
    case 'withdrawn':
      return refusal('withdrawn', 'withdrawn while it waited for approval', ruleId)
    case 'limit':
      return refusal('limit', resolution.message, ruleId)
    default:
      return refusal('approval-unavailable', 'nobody can be asked for approval', ruleId)
  }
}

function reasonOf(problem: HoldRefusal): ReasonCode {
  return problem.code === 'expired' ? 'approval-expired' : 'approval-unavailable'
}

/** Later, so that a driver that is inside `judge` is not called back from there. */
function tell(listener: (denial: Denial) => void, denial: Denial): void {
  queueMicrotask(() => {
    try {
      listener(denial)
    } catch {
      // The session has ended all the same.
    }
  })
}
