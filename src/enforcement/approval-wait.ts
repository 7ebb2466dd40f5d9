import type { Approval, ApprovalBroker, ApprovalResolution, HoldRequest } from '../approval/index.js'
import type { Schedule, Subject } from '../core/index.js'
import { oneLine } from './outcomes.js'

export interface ApprovalWaitOptions {
  readonly broker: ApprovalBroker
  readonly request: HoldRequest
  readonly schedule: Schedule
  /** Between two lines to the client that it still waits. */
  readonly remindMs: number
  /** May throw: the client may be gone. */
  readonly inform: (text: string) => void
}

/**
 * One command's wait for its approvers. Ends once: by the broker's answer, by time, or by `withdraw`. An
 * answer that comes after the end changes nothing.
 */
export class ApprovalWait {
  readonly #options: ApprovalWaitOptions
  readonly #abort = new AbortController()
  readonly #cancellers: (() => void)[] = []
  #resolve: ((resolution: ApprovalResolution) => void) | undefined
  #isOver = false

  constructor(options: ApprovalWaitOptions) {
    this.#options = options
  }

  /** Call once. Never rejects. */
  run(): Promise<ApprovalResolution> {
    return new Promise((resolve) => {
      this.#resolve = resolve
      if (this.#isOver) {
        resolve({ outcome: 'withdrawn' })
        return
      }
      const { schedule, request } = this.#options
      // A broker that never answers, or that counts time differently, does not keep a command waiting.
      this.#cancellers.push(schedule(request.terms.timeoutMs, () => this.#end({ outcome: 'expired' })))
      this.#remindLater(1)
      this.#inform(startLine(request))
      this.#ask()
    })
  }

  /** The client left, cancelled, or lost its session. */
  withdraw(): void {
    this.#end({ outcome: 'withdrawn' })
  }

  #ask(): void {
    const { broker, request } = this.#options
    const unavailable: ApprovalResolution = { outcome: 'unavailable', message: 'nobody can be asked for approval' }
    try {
      broker.request(request, this.#abort.signal).then(
        (resolution) => this.#end(isResolution(resolution) ? resolution : unavailable),
        // Fails closed, as below: a broker that fails has not approved.
        () => this.#end(unavailable),
      )
    } catch {
      this.#end(unavailable)
    }
  }

  #end(resolution: ApprovalResolution): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const cancel of this.#cancellers) cancel()
    // Tells the broker that nobody waits any more. A listener of the signal that throws is reported
    // by the runtime, not here.
    if (resolution.outcome === 'withdrawn' || resolution.outcome === 'expired') this.#abort.abort()
    this.#resolve?.(resolution)
  }

  #remindLater(count: number): void {
    const { schedule, remindMs, request } = this.#options
    const cancel = schedule(remindMs, () => {
      this.#cancellers.splice(this.#cancellers.indexOf(cancel), 1)
      if (this.#isOver) return
      this.#inform(reminderLine(request, count * remindMs))
      this.#remindLater(count + 1)
    })
    this.#cancellers.push(cancel)
  }

  /** Later, so that the driver is not called back while it is still inside `judge`. */
  #inform(line: string): void {
    queueMicrotask(() => {
      if (this.#isOver) return
      try {
        this.#options.inform(line)
      } catch {
        // What the client hears changes nothing of what is decided.
      }
    })
  }
}

/** A foreign broker may answer with anything at run time. */
function isResolution(value: ApprovalResolution | undefined): value is ApprovalResolution {
  switch (value?.outcome) {
    case 'approved':
      return Array.isArray(value.by) && value.by.every(isApproval)
    case 'rejected':
      return isSubject(value.by) && typeof value.reason === 'string'
    case 'limit':
    case 'unavailable':
      return typeof value.message === 'string'
    case 'expired':
    case 'withdrawn':
      return true
    default:
      return false
  }
}

function isApproval(value: Approval | undefined): boolean {
  return isSubject(value?.approver) && (value?.comment === undefined || typeof value.comment === 'string')
}

function isSubject(value: Subject | undefined): boolean {
  return typeof value?.id === 'string'
}

function startLine(request: HoldRequest): string {
  const { terms } = request
  const by = terms.approvalsNeeded === 1 ? 'approval' : `${terms.approvalsNeeded} approvals`
  const rule = request.ruleId === undefined ? '' : ` (rule ${request.ruleId})`
  const why = request.message === undefined ? '' : `: ${oneLine(request.message)}`
  return `waiting for ${by}${rule}${why}; at most ${seconds(terms.timeoutMs)}; hold ${request.id}`
}

function reminderLine(request: HoldRequest, waitedMs: number): string {
  return `still waiting for approval, ${seconds(waitedMs)} of ${seconds(request.terms.timeoutMs)}; hold ${request.id}`
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
