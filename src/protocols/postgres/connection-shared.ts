import {
  type Admission,
  ChunkReader,
  type CommandAnswer,
  type ConnectionEvent,
  Fifo,
  Outbox,
  type ProtocolContext,
  SallyportError,
  type TextMasker,
} from '../../core/index.js'
import type { PostgresLimits } from './options.js'
import { answerOf, type DescribedAt, type Owed, type Portal, type Run } from './pipeline.js'
import type { CatalogTrust, ResultPlans } from './results.js'
import { SessionState } from './session-state.js'
import { Names } from './statements.js'

/** What both halves of an established connection work on. */
export class Shared {
  readonly context: ProtocolContext
  readonly limits: PostgresLimits
  readonly plans: ResultPlans
  readonly events = new Fifo<ConnectionEvent>()
  readonly fromClient = new ChunkReader()
  readonly fromTarget = new ChunkReader()
  readonly toClient = new Outbox('downstream', this.events)
  readonly toTarget = new Outbox('upstream', this.events)
  readonly names = new Names()
  readonly state = new SessionState()
  /** What the target owes, oldest first. */
  readonly owed = new Fifo<Owed>()
  admission: Admission | undefined
  /** Until this is answered no later message is looked at: it may give texts or names another meaning. */
  barrier: Owed | undefined
  /**
   * A segment is what stands between two Syncs: where one message of it fails the rest of it is not done. Counted are those
   * that were sent on whole, and those that were answered.
   */
  segmentsSent = 0
  segmentsAnswered = 0
  /** The client's messages are dropped up to its next Sync: something before them in the pipeline failed. */
  isDiscarding = false
  /** The target asked for COPY data and the client has not said that it is done. */
  copyIn: Run | undefined
  /** Something that may change settings was sent: what the ReadyForQuery behind it is owed for. */
  pendingChange: Owed | undefined
  /** The same, and the client has not even sent the Sync that would bring ReadyForQuery. */
  hasOpenChange = false
  /** DDL ran in this transaction: what is known of the catalogue changes again when it commits. */
  isCatalogStale = false
  /** Until the transaction ends. */
  catalogTrust: CatalogTrust = 'all'
  /** The message of the client that stands at the reader and waits for its verdict. */
  awaitingId: number | undefined
  /** Of the client's next command. */
  nextId = 1
  isClosed = false
  /** Told before the last events leave. */
  onClose: () => void = () => undefined

  constructor(context: ProtocolContext, limits: PostgresLimits, plans: ResultPlans) {
    this.context = context
    this.limits = limits
    this.plans = plans
  }

  /** Nothing that was sent has an effect to come: whatever is sent now stands for itself. */
  get isAtRest(): boolean {
    return (
      this.owed.length === 0 &&
      this.barrier === undefined &&
      this.segmentsAnswered === this.segmentsSent &&
      !this.isDiscarding &&
      this.copyIn === undefined &&
      this.pendingChange === undefined &&
      !this.hasOpenChange &&
      !this.isCatalogStale &&
      this.catalogTrust === 'all' &&
      this.awaitingId === undefined &&
      this.state.transaction === 'idle' &&
      this.names.portals.size === 0 &&
      this.fromTarget.available === 0 &&
      this.toClient.isEmpty &&
      this.toTarget.isEmpty
    )
  }

  /** What an earlier segment did to names is not known yet: it may have failed before it came to that. */
  get areNamesOpen(): boolean {
    return this.segmentsAnswered < this.segmentsSent
  }

  /** Whether it may turn out that the name still stands for something else. */
  isOpen(named: { readonly segment?: number }): boolean {
    const { segment } = named
    return segment !== undefined && segment < this.segmentsSent && segment >= this.segmentsAnswered
  }

  #changes = 0

  /** Stays as it is only while the names in a text cannot have got another meaning. */
  get meaning(): number {
    // Both only grow: the sum is the same only where both are.
    return this.#changes + this.plans.epoch
  }

  /** Something ran that may have changed settings, or an error took such a change back. */
  meaningMayHaveChanged(): void {
    this.#changes++
  }

  describedNow(): DescribedAt {
    return { meaning: this.meaning, atUnixMs: this.context.clock.nowUnixMs() }
  }

  get textMasker(): TextMasker | undefined {
    return this.admission?.textMasker
  }

  answer(commandId: number, answer: CommandAnswer): void {
    this.events.push({ type: 'answer', commandId, answer })
  }

  /** Says how a run ended, once. */
  answerRun(run: Run, outcome: CommandAnswer['outcome'], errorCode?: string, errorMessage?: string): void {
    if (run.isAnswered || run.commandId === 0) return
    run.isAnswered = true
    this.answer(run.commandId, answerOf(run, outcome, errorCode, errorMessage))
  }

  /** Nothing will be fetched from it any more. */
  portalEnded(portal: Portal | undefined): void {
    if (portal !== undefined) this.answerRun(portal.run, portal.run.isSuspended ? 'suspended' : 'interrupted')
  }

  catalogChanged(): void {
    this.plans.forget()
    this.events.push({ type: 'catalogChanged' })
  }

  /** Ends both sides. What was written before still leaves. */
  close(error?: SallyportError): void {
    if (this.isClosed) return
    this.isClosed = true
    this.onClose()
    for (let owed = this.owed.shift(); owed !== undefined; owed = this.owed.shift()) {
      this.interrupt(owed)
      // A name that was given to another, or to none, on its way.
      if (owed.kind === 'bind' || owed.kind === 'close-portal') this.portalEnded(owed.previous)
      if (owed.kind === 'bind') this.portalEnded(owed.portal)
    }
    for (const portal of this.names.portals.values()) this.portalEnded(portal)
    if (this.awaitingId !== undefined) this.events.push({ type: 'withdraw', commandId: this.awaitingId })
    this.toTarget.flush()
    this.toClient.flush()
    this.fromClient.clear()
    this.fromTarget.clear()
    this.events.push({ type: 'close', side: 'upstream', ...(error === undefined ? {} : { error }) })
    this.events.push({ type: 'close', side: 'downstream', ...(error === undefined ? {} : { error }) })
  }

  /** The target will not do this any more. */
  interrupt(owed: Owed): void {
    switch (owed.kind) {
      case 'query':
      case 'function':
        this.answerRun(owed.run, 'interrupted')
        break
      case 'execute':
        this.answerRun(owed.run, 'interrupted')
        break
      case 'parse':
        if (!owed.isOwn) this.answer(owed.commandId, { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 })
        break
      default:
        break
    }
  }

  /** A wrong turn of the target: nothing it says is believed any more. */
  upstreamViolation(problem: string): SallyportError {
    return new SallyportError('upstream_protocol_violation', problem)
  }
}
