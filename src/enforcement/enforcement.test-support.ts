import { createMemoryBroker, type MemoryBroker } from '../approval/index.js'
import { agent, sqlCommand, textValue } from '../approval/approval.test-support.js'
import type { DecisionContext, Policy, PolicyOutcome, SallyportError } from '../core/index.js'
import type { CommandEvent, Recorder, RecordingEvent, RecordingHeader, SessionRecorder } from '../recording/index.js'
import { createEnforcer, type Enforcer, type EnforcerOptions } from './enforcer.js'
import type { Judgement, Session } from './types.js'

/** Shared by the tests of this folder: a world with a clock that is told the time. */

export function outcome(changes: Partial<PolicyOutcome> = {}): PolicyOutcome {
  return {
    effect: 'allow',
    reason: 'rule',
    ruleId: 'r',
    matchedRuleIds: ['r'],
    masks: { columns: [], detectors: [] },
    recordLevel: 'statement',
    alerts: [],
    ...changes,
  }
}

export const allow: PolicyOutcome = outcome()
export const deny: PolicyOutcome = outcome({ effect: 'deny', message: 'not here' })
export const hold: PolicyOutcome = outcome({
  effect: 'hold',
  hold: { approverGroups: ['dba'], approvalsNeeded: 1, timeoutMs: 60_000 },
})

export function policyOf(
  decide: PolicyOutcome | ((context: DecisionContext) => PolicyOutcome | Promise<PolicyOutcome>),
  changes: Partial<Policy> = {},
): Policy {
  return {
    digest: 'policy-1',
    decide: typeof decide === 'function' ? decide : () => decide,
    sessionMasks: { columns: [], detectors: [] },
    ...changes,
  }
}

export class FakeRecorder implements Recorder {
  readonly durability: 'durable' | 'batch'
  readonly headers: RecordingHeader[] = []
  readonly events: RecordingEvent[] = []
  readonly log: string[] = []
  onOpen: () => void = () => undefined
  onCommand: (event: CommandEvent) => void = () => undefined
  onAppend: (event: RecordingEvent) => void = () => undefined
  flush: () => Promise<void> = () => Promise.resolve()
  onClose: () => Promise<void> = () => Promise.resolve()
  readonly failureListeners: ((failure: SallyportError) => void)[] = []
  failure: SallyportError | undefined
  pendingBytes = 0

  constructor(durability: 'durable' | 'batch' = 'batch') {
    this.durability = durability
  }

  get commands(): CommandEvent[] {
    return this.events.filter((event) => event.type === 'command')
  }

  open(header: RecordingHeader): SessionRecorder {
    this.onOpen()
    this.headers.push(header)
    const failureNow = (): SallyportError | undefined => this.failure
    const pendingNow = (): number => this.pendingBytes
    return {
      sessionId: header.sessionId,
      durability: this.durability,
      command: (event) => {
        this.onCommand(event)
        this.events.push(event)
        this.log.push(`command ${event.id} ${event.permitted ? 'permitted' : 'refused'}`)
      },
      answer: (commandId, answer, atUnixMs) => {
        this.events.push({ type: 'answer', commandId, answer, atUnixMs })
      },
      append: (event) => {
        this.onAppend(event)
        this.events.push(event)
      },
      flushed: () => this.flush(),
      close: (reason) => {
        this.log.push(`close ${reason}`)
        return this.onClose()
      },
      get failure() {
        return failureNow()
      },
      onFailure: (listener) => {
        this.failureListeners.push(listener)
      },
      get pendingBytes() {
        return pendingNow()
      },
      head: '',
    }
  }
}

export interface World {
  nowUnixMs: number
  readonly timers: Set<{ atUnixMs: number; run: () => void }>
  readonly broker: MemoryBroker
  readonly recorder: FakeRecorder
  readonly enforcer: Enforcer
  readonly session: Session
  /** Lets time pass, timer by timer, with all that they lead to. */
  pass(ms: number): Promise<void>
}

export function world(options: Partial<EnforcerOptions> = {}): World {
  let counter = 0
  const timers: World['timers'] = new Set()
  const clock = { nowUnixMs: () => self.nowUnixMs }
  const schedule = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atUnixMs: self.nowUnixMs + delayMs, run }
    timers.add(timer)
    return () => timers.delete(timer)
  }
  const randomBytes = (count: number): Uint8Array => {
    const bytes = Buffer.alloc(count)
    bytes.writeUInt32BE(++counter, count - 4)
    return bytes
  }
  const broker = createMemoryBroker({ clock, schedule, randomBytes })
  const recorder = options.recorder instanceof FakeRecorder ? options.recorder : new FakeRecorder()
  const enforcer = createEnforcer({
    policy: policyOf(allow),
    analyzers: {},
    recorder,
    broker,
    clock,
    schedule,
    randomBytes,
    ...options,
  })
  const self: World = {
    nowUnixMs: 1_000_000,
    timers,
    broker,
    recorder,
    enforcer,
    session: undefined as unknown as Session,
    async pass(ms) {
      const until = self.nowUnixMs + ms
      for (;;) {
        const due = [...timers].filter((timer) => timer.atUnixMs <= until)
        const next = due.sort((left, right) => left.atUnixMs - right.atUnixMs)[0]
        if (next === undefined) break
        timers.delete(next)
        self.nowUnixMs = next.atUnixMs
        next.run()
        await settle()
      }
      self.nowUnixMs = until
      await settle()
    },
  }
  const session = enforcer.openSession({ subject: agent, resource: { name: 'orders', protocol: 'postgres' } })
  return Object.assign(self, { session })
}

/** Lets everything that waits on nothing but promises happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

export const silent = (): void => undefined

export function sync(judgement: Judgement | Promise<Judgement>): Judgement {
  if (judgement instanceof Promise) throw new Error('expected an answer at once')
  return judgement
}

/** The reason code of a refusal, or `permitted`. */
export async function verdict(judgement: Judgement | Promise<Judgement>): Promise<string> {
  const settled = await judgement
  return settled.permitted ? 'permitted' : settled.denial.reason
}

export { agent, sqlCommand, textValue }
