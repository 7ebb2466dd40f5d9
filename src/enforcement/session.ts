import type {
  Command,
  CommandAnswer,
  DecisionContext,
  Denial,
  FileContent,
  FileTransfer,
  Policy,
  PolicyOutcome,
  Resource,
  SessionContext,
  ShellAnalyzer,
  SqlAnalyzer,
  Subject,
  TerminalSize,
  TextMasker,
} from '../core/index.js'
import type { RecordingEvent, SessionRecorder } from '../recording/index.js'
import { analyzerFor } from './analyzers.js'
import { HeldCommand, type HoldHost } from './held-command.js'
import {
  checkedOutcome,
  denialOf,
  dialectOf,
  ENGINE_FAILED,
  ENGINE_TIMED_OUT,
  isPrepare,
  isThenable,
  refusal,
  stoppedOutcome,
} from './outcomes.js'
import { PlannedStatements } from './planned-statements.js'
import { maskedCommitments } from './recorded-command.js'
import { StreamRecord } from './stream-record.js'
import type { SessionSurroundings } from './surroundings.js'
import type { Judgement, Session, SessionOptions } from './types.js'

const EXHAUSTED: PolicyOutcome = stoppedOutcome(refusal('limit', 'this session has used up what it may do'))
const EXHAUSTED_JUDGEMENT: Judgement = { permitted: false, denial: denialOf(EXHAUSTED), outcome: EXHAUSTED }

/** Permitted commands without a record whose answers are awaited. More is a protocol that does not answer all of them. */
const MAX_UNRECORDED = 4_096

/** An eighth of what a recorder keeps waiting by default: output stops long before that is full. */
const MAX_RECORD_BEHIND_BYTES = 1_048_576

const RECORD_FAILED: Denial = refusal('recorder-unavailable', 'the session cannot be recorded')

/** What it takes to record a planned statement later. */
interface PlannedNote {
  readonly outcome: PolicyOutcome
  readonly atUnixMs: number
}

/**
 * The session of `createEnforcer`.
 *
 * Theory of operation. `judge` decides synchronously and, unless something really has to wait, answers so.
 * Whatever ends the session (revocation, a record that cannot be written, `end`) sets `#stopped`, which is the
 * first thing every later command meets and the first thing every wait looks at when it is over.
 *
 * INVARIANT: a permit to run is answered only after its command was given to the recorder, and with durable
 * recording only after it is on disk; so is a refusal, lest who can crash us could probe unseen. A statement that is only planned may be recorded later: nothing has run.
 */
export class EnforcedSession implements Session {
  readonly id: string
  readonly subject: Subject
  readonly resource: Resource
  readonly textMasker: TextMasker | undefined
  readonly #around: SessionSurroundings
  readonly #context: SessionContext
  readonly #held = new Map<number, HeldCommand>()
  /** Made for the first hold: most sessions never have one. */
  #holdHost: HoldHost | undefined
  readonly #listeners: ((denial: Denial) => void)[] = []
  /** Permitted commands that are not to be recorded: their answers are not either. */
  readonly #unrecorded = new Set<number>()
  /** Made for the first statement that is planned apart from its run. */
  #planned: PlannedStatements<PlannedNote> | undefined
  /** Made for the first event of a command's streams. */
  #streams: StreamRecord | undefined
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

  get shellAnalyzer(): ShellAnalyzer {
    return this.#around.shellAnalyzer
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
    this.#held.get(commandId)?.withdraw()
  }

  answered(commandId: number, answer: CommandAnswer): void {
    this.#rows += answer.rows
    this.#bytes += answer.bytes
    this.#streams?.ended(commandId)
    const isRecorded =
      this.#planned?.answered(commandId, answer) !== true &&
      (this.#unrecorded.size === 0 || !this.#unrecorded.delete(commandId))
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

  recordDrained(): Promise<void> | undefined {
    const recorder = this.#recorder
    if (recorder === undefined || recorder.pendingBytes < MAX_RECORD_BEHIND_BYTES || this.#isClosed) return undefined
    return this.#written(() => recorder.flushed())
  }

  resized(commandId: number, size: TerminalSize): void {
    this.#streamsOf(commandId)?.resized(commandId, size)
  }

  input(commandId: number, bytes: Uint8Array, { isEchoed }: { readonly isEchoed: boolean }): void {
    this.#streamsOf(commandId)?.input(commandId, bytes, isEchoed)
  }

  detected(commandId: number, text: string): void {
    this.#streamsOf(commandId)?.detected(commandId, text)
  }

  transferred(commandId: number, transfer: FileTransfer): void {
    this.#streamsOf(commandId)?.transferred(commandId, transfer)
  }

  fileContent(commandId: number, content: FileContent): void {
    this.#streamsOf(commandId)?.fileContent(commandId, content)
  }

  refused(via: string, denial: Denial): void {
    const details = { via, reason: denial.reason, message: denial.message }
    this.#append({ type: 'note', atUnixMs: this.#around.clock.nowUnixMs(), text: 'message refused', details })
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
    this.#planned?.settle()
    this.#streams?.endAll()
    this.#isClosed = true
    const recorder = this.#recorder
    if (recorder !== undefined && this.#failure === undefined) await this.#written(() => recorder.close(reason))
    this.#around.forget(this.id)
    this.#around.emitter.emit('end', this, reason)
  }

  #stop(denial: Denial): void {
    if (this.#stopped === undefined) this.#stopped = denial
    for (const held of this.#held.values()) held.withdraw()
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
    // A hold waits for the values: planning a statement runs nothing.
    if (outcome.effect === 'hold' && !isPrepare(command)) return this.#hold(command, inform, outcome)
    return this.#conclude(command, this.#around.active.judgement(outcome, dialectOf(command)), outcome, undefined)
  }

  async #hold(command: Command, inform: (text: string) => void, outcome: PolicyOutcome): Promise<Judgement> {
    const held = new HeldCommand((this.#holdHost ??= this.#createHoldHost()), command, inform)
    // Entered before it starts: a listener of its start may already end the session.
    this.#held.set(command.id, held)
    held.start(outcome)
    try {
      return await held.done
    } finally {
      this.#held.delete(command.id)
    }
  }

  #createHoldHost(): HoldHost {
    return {
      session: this,
      context: this.#context,
      around: this.#around,
      stopped: () => this.#stopped,
      decide: async (command) => {
        const outcome = this.#decide(command)
        return isThenable(outcome) ? this.#settled(command, outcome) : outcome
      },
      conclude: (command, judgement, outcome, holdId) => this.#conclude(command, judgement, outcome, holdId),
      append: (event) => this.#append(event),
    }
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
      if (judgement.permitted && isPrepare(command) && outcome.recordLevel !== 'full') {
        this.#planned ??= this.#createPlanned(recorder)
        this.#planned.plan(command, { outcome, atUnixMs: around.clock.nowUnixMs() })
        return this.#decided(command, judgement, holdId)
      }
      this.#planned?.before(command)
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
    if (!this.#isDurable) return this.#decided(command, judgement, holdId)
    return this.#flushedThen(command, judgement, outcome, holdId, recorder)
  }

  /** Undefined for a command that is not to be recorded. */
  #streamsOf(commandId: number): StreamRecord | undefined {
    if (this.#unrecorded.has(commandId)) return undefined
    return (this.#streams ??= new StreamRecord({
      recordsInput: this.#around.recordsInput,
      nowUnixMs: () => this.#around.clock.nowUnixMs(),
      describer: () => this.#around.describer,
      append: (event) => this.#append(event),
    }))
  }

  #createPlanned(recorder: SessionRecorder): PlannedStatements<PlannedNote> {
    return new PlannedStatements({
      command: (command, { outcome, atUnixMs }) => {
        if (this.#failure !== undefined) return
        try {
          const event = this.#around.describer.event(command, outcome, true, atUnixMs)
          recorder.command(event)
          if (this.#commitmentKey !== undefined) this.#commit(command, event, this.#commitmentKey)
        } catch {
          this.#fail()
        }
      },
      answer: (commandId, answer) => {
        if (this.#failure !== undefined) return
        try {
          recorder.answer(commandId, answer, this.#around.clock.nowUnixMs())
        } catch {
          this.#fail()
        }
      },
    })
  }

  async #flushedThen(
    command: Command,
    judgement: Judgement,
    outcome: PolicyOutcome,
    holdId: string | undefined,
    recorder: SessionRecorder,
  ): Promise<Judgement> {
    await this.#written(() => recorder.flushed())
    const stopped = this.#stopped
    const isUnchanged = stopped === undefined || (!judgement.permitted && this.#failure === undefined)
    if (isUnchanged) return this.#decided(command, judgement, holdId)
    if (this.#failure === undefined) {
      const text = `command ${command.id} was refused after all: ${stopped.reason}`
      this.#append({ type: 'note', atUnixMs: this.#around.clock.nowUnixMs(), text })
    }
    return this.#decided(command, { permitted: false, denial: stopped, outcome }, holdId)
  }

  /** Waits for the record, for so long only. Never rejects: a record that is not written is a failure of the session. */
  #written(write: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const { schedule, limits } = this.#around
      const fail = (): void => {
        cancel()
        this.#fail()
        resolve()
      }
      const cancel = schedule(limits.recordTimeoutMs, fail)
      try {
        write().then(() => {
          cancel()
          resolve()
        }, fail)
      } catch {
        fail()
      }
    })
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
    if (event.type !== 'note' || event.text !== 'masked') this.#planned?.settle()
    try {
      this.#recorder.append(event)
    } catch {
      this.#fail()
    }
  }
}

/** The masker of the session's whole life; where the policy may be replaced, one that asks for the present one's. */
function textMaskerOf(around: SessionSurroundings): TextMasker | undefined {
  if (around.isObserving) return undefined
  if (!around.followsPolicy) return around.active.textMasker
  return {
    maskText: (text) => around.active.textMasker?.maskText(text) ?? text,
    get current() {
      return around.active.textMasker
    },
  }
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
