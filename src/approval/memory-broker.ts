import { EventEmitter } from 'eventemitter3'
import type { Clock, RandomBytes, Resource, Schedule, Subject } from '../core/index.js'
import type { ApprovalBroker, ApprovalResolution, HoldRequest } from './broker.js'
import { describeCommand, type CommandDescription } from './describe.js'
import {
  approvalsMissing,
  approveHold,
  createHold,
  expireHold,
  rejectHold,
  withdrawHold,
  type Approval,
  type Hold,
  type HoldPhase,
  type HoldRefusal,
  type HoldStep,
} from './hold.js'

/** What bounds a broker's memory, and how much of its people's time one subject can take. */
export interface MemoryBrokerLimits {
  /** Default 5: an agent that needs more answers at once is flooding. */
  readonly maxWaitingPerSubject?: number
  /** Default 2: a connection waits for one command at a time, with one more behind it at most. */
  readonly maxWaitingPerSession?: number
  /** Default 500: more than any team can read. */
  readonly maxWaiting?: number
  /** How many ended holds are remembered, so that a late answer is told why it is late. Default 256. */
  readonly maxRemembered?: number
  /** Code points of a command's text that are shown. Default 8192. */
  readonly maxCharacters?: number
}

export interface MemoryBrokerOptions {
  readonly clock: Clock
  readonly schedule: Schedule
  /** Makes the handles by which approvers name a hold. */
  readonly randomBytes: RandomBytes
  readonly limits?: MemoryBrokerLimits
}

/** What an approver gets to see of a hold that waits. */
export interface HoldView extends CommandDescription {
  /** What {@link MemoryBroker.approve} takes. Not the id that the client is told. */
  readonly id: string
  /** The id that the waiting client and the record know. */
  readonly holdId: string
  /** SHA-256 of the command and all that gives it its meaning, in hexadecimal. */
  readonly digest: string
  readonly requester: Subject
  readonly resource: Resource
  readonly sessionId: string
  readonly clientAddress?: string
  readonly clientName?: string
  readonly ruleId?: string
  readonly message?: string
  readonly approverGroups: readonly string[]
  readonly approvals: readonly Approval[]
  readonly approvalsMissing: number
  readonly requestedAtUnixMs: number
  readonly expiresAtUnixMs: number
}

/** The line of a hold in a list. */
export type HoldSummary = Pick<
  HoldView,
  'id' | 'holdId' | 'digest' | 'requester' | 'resource' | 'ruleId' | 'approvalsMissing' | 'expiresAtUnixMs'
>

/** What an approver's word led to. */
export type ApproverAnswer =
  | { readonly ok: true; readonly phase: HoldPhase; readonly approvalsMissing: number }
  | { readonly ok: false; readonly refusal: HoldRefusal }

export interface MemoryBrokerEvents {
  requested: (hold: HoldView) => void
  resolved: (id: string, resolution: ApprovalResolution) => void
}

interface Waiting {
  hold: Hold
  readonly handle: string
  readonly request: HoldRequest
  readonly settle: (resolution: ApprovalResolution) => void
  cancelTimer: () => void
}

/** Makes a broker that keeps its holds in memory: a restart ends them all, and every one of them is a denial. */
export function createMemoryBroker(options: MemoryBrokerOptions): MemoryBroker {
  return new MemoryBroker(options)
}

/**
 * A broker for one process, with the approvers' side beside it. The caller of the approvers' side has
 * established who the approver is: never pass an identity that the approver merely claims.
 */
export class MemoryBroker implements ApprovalBroker {
  /** `requested` and `resolved`. A listener that throws is ignored. */
  readonly events = new EventEmitter<MemoryBrokerEvents>()
  readonly #options: MemoryBrokerOptions
  readonly #limits: Required<MemoryBrokerLimits>
  readonly #waiting = new Map<string, Waiting>()
  /** The last phases of ended holds, oldest first. */
  readonly #ended = new Map<string, HoldPhase>()

  constructor(options: MemoryBrokerOptions) {
    this.#options = options
    this.#limits = {
      maxWaitingPerSubject: options.limits?.maxWaitingPerSubject ?? 5,
      maxWaitingPerSession: options.limits?.maxWaitingPerSession ?? 2,
      maxWaiting: options.limits?.maxWaiting ?? 500,
      maxRemembered: options.limits?.maxRemembered ?? 256,
      maxCharacters: options.limits?.maxCharacters ?? 8192,
    }
  }

  request(request: HoldRequest, withdrawn: AbortSignal): Promise<ApprovalResolution> {
    if (withdrawn.aborted) return Promise.resolve({ outcome: 'withdrawn' })
    const message = this.#limitProblem(request)
    if (message !== undefined) return Promise.resolve({ outcome: 'limit', message })
    return new Promise((resolve) => this.#enter(request, withdrawn, resolve))
  }

  /** Holds that wait, oldest first. */
  list(): HoldSummary[] {
    return [...this.#waiting.values()].map(({ hold, handle, request }) => ({
      id: handle,
      holdId: hold.id,
      digest: hold.digest,
      requester: hold.requester,
      resource: request.resource,
      ...(request.ruleId === undefined ? {} : { ruleId: request.ruleId }),
      approvalsMissing: approvalsMissing(hold),
      expiresAtUnixMs: hold.expiresAtUnixMs,
    }))
  }

  /** Everything there is to know of a hold that waits; undefined when it does not, or no longer. */
  get(id: string): HoldView | undefined {
    const waiting = this.#waiting.get(id)
    return waiting === undefined ? undefined : this.#view(waiting)
  }

  /** Counts an approval. The hold is released when enough different people have given theirs. */
  approve(id: string, approver: Subject, comment?: string): ApproverAnswer {
    return this.#decide(id, (hold, nowUnixMs) => approveHold(hold, approver, nowUnixMs, comment))
  }

  /** Ends the hold with a no. `reason` is told to the client and recorded. */
  reject(id: string, approver: Subject, reason: string): ApproverAnswer {
    return this.#decide(id, (hold, nowUnixMs) => rejectHold(hold, approver, reason, nowUnixMs))
  }

  #enter(request: HoldRequest, withdrawn: AbortSignal, resolve: (resolution: ApprovalResolution) => void): void {
    const { clock, schedule, randomBytes } = this.#options
    const nowUnixMs = clock.nowUnixMs()
    const handle = Buffer.from(randomBytes(16)).toString('hex')
    const onWithdrawn = (): void => {
      const step = withdrawHold(waiting.hold)
      if (step.ok) this.#end(waiting, step.hold)
    }
    const waiting: Waiting = {
      // Counted from when the enforcer asked: both ends then agree on when it expires.
      hold: createHold(request, request.requestedAtUnixMs),
      handle,
      request,
      settle: (resolution) => {
        withdrawn.removeEventListener('abort', onWithdrawn)
        resolve(resolution)
      },
      cancelTimer: () => undefined,
    }
    const onTime = (): void => {
      // The timer decides, not the clock: a clock that was set back must not make a hold live longer.
      const step = expireHold(waiting.hold, Math.max(clock.nowUnixMs(), waiting.hold.expiresAtUnixMs))
      if (step.ok) this.#end(waiting, step.hold)
    }
    waiting.cancelTimer = schedule(Math.max(0, waiting.hold.expiresAtUnixMs - nowUnixMs), onTime)
    withdrawn.addEventListener('abort', onWithdrawn)
    this.#waiting.set(handle, waiting)
    if (this.events.listenerCount('requested') > 0) this.#tell(() => this.events.emit('requested', this.#view(waiting)))
  }

  #decide(id: string, transition: (hold: Hold, nowUnixMs: number) => HoldStep): ApproverAnswer {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return { ok: false, refusal: this.#lateRefusal(id) }
    const nowUnixMs = this.#options.clock.nowUnixMs()
    const step = transition(waiting.hold, nowUnixMs)
    if (!step.ok) return step
    waiting.hold = step.hold
    if (step.hold.phase !== 'waiting') this.#end(waiting, step.hold)
    return { ok: true, phase: step.hold.phase, approvalsMissing: approvalsMissing(step.hold) }
  }

  #lateRefusal(id: string): HoldRefusal {
    const phase = this.#ended.get(id)
    if (phase === undefined) return { code: 'unknown-hold', message: 'there is no such hold, or it ended long ago' }
    return { code: phase === 'expired' ? 'expired' : 'not-waiting', message: `too late: the hold is already ${phase}` }
  }

  /** The one way out of the map: a hold resolves once. */
  #end(waiting: Waiting, hold: Hold): void {
    if (!this.#waiting.delete(waiting.handle)) return
    waiting.hold = hold
    waiting.cancelTimer()
    this.#ended.set(waiting.handle, hold.phase)
    if (this.#ended.size > this.#limits.maxRemembered) {
      for (const oldest of this.#ended.keys()) {
        this.#ended.delete(oldest)
        break
      }
    }
    const resolution = resolutionOf(hold)
    waiting.settle(resolution)
    this.#tell(() => this.events.emit('resolved', waiting.handle, resolution))
  }

  #limitProblem(request: HoldRequest): string | undefined {
    if (this.#waiting.size >= this.#limits.maxWaiting) return 'too many commands wait for approval'
    let ofSubject = 0
    let ofSession = 0
    for (const { request: other } of this.#waiting.values()) {
      if (other.requester.id === request.requester.id) ofSubject++
      if (other.sessionId === request.sessionId) ofSession++
    }
    if (ofSession >= this.#limits.maxWaitingPerSession) return 'this session has too many commands waiting for approval'
    if (ofSubject >= this.#limits.maxWaitingPerSubject) return 'too many commands of yours wait for approval'
    return undefined
  }

  #view({ hold, handle, request }: Waiting): HoldView {
    return {
      ...describeCommand(request.command, { maxCharacters: this.#limits.maxCharacters }),
      id: handle,
      holdId: hold.id,
      digest: hold.digest,
      requester: hold.requester,
      resource: request.resource,
      sessionId: request.sessionId,
      ...(request.clientAddress === undefined ? {} : { clientAddress: request.clientAddress }),
      ...(request.clientName === undefined ? {} : { clientName: request.clientName }),
      ...(request.ruleId === undefined ? {} : { ruleId: request.ruleId }),
      ...(request.message === undefined ? {} : { message: request.message }),
      approverGroups: hold.terms.approverGroups,
      approvals: hold.approvals,
      approvalsMissing: approvalsMissing(hold),
      requestedAtUnixMs: request.requestedAtUnixMs,
      expiresAtUnixMs: hold.expiresAtUnixMs,
    }
  }

  #tell(emit: () => void): void {
    try {
      emit()
    } catch {
      // A listener is an onlooker: what it does changes nothing.
    }
  }
}

function resolutionOf(hold: Hold): ApprovalResolution {
  switch (hold.phase) {
    case 'approved':
      return { outcome: 'approved', by: hold.approvals }
    case 'rejected':
      return hold.rejectedBy === undefined
        ? { outcome: 'unavailable', message: 'the rejection has no author' }
        : { outcome: 'rejected', by: hold.rejectedBy, reason: hold.rejection ?? '' }
    case 'expired':
      return { outcome: 'expired' }
    case 'withdrawn':
      return { outcome: 'withdrawn' }
    case 'waiting':
    case 'released':
      return { outcome: 'unavailable', message: `a hold that is ${hold.phase} has no resolution` }
    default:
      return hold.phase satisfies never
  }
}
