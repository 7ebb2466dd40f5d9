import { EventEmitter } from 'eventemitter3'
import type { Approval } from '../approval/index.js'
import type { Command, CommandAnswer, HoldTerms } from '../core/index.js'
import type { Judgement, Session } from './types.js'

/** One command's end of judging. */
export interface DecisionEvent {
  readonly session: Session
  readonly command: Command
  readonly judgement: Judgement
  readonly atUnixMs: number
  readonly holdId?: string
}

export interface HoldStartedEvent {
  readonly session: Session
  readonly command: Command
  readonly holdId: string
  readonly digest: string
  readonly ruleId?: string
  readonly terms: HoldTerms
  readonly expiresAtUnixMs: number
}

export interface ReleasedEvent {
  readonly session: Session
  readonly command: Command
  readonly holdId: string
  readonly by: readonly Approval[]
}

export interface AlertRaisedEvent {
  readonly session: Session
  readonly command: Command
  readonly ruleId?: string
  readonly text: string
}

/** What an enforcer tells while it works. */
export interface EnforcerEvents {
  session: (session: Session) => void
  decision: (event: DecisionEvent) => void
  /** A command begins to wait for approval. */
  hold: (event: HoldStartedEvent) => void
  /** A held command was approved and goes ahead. */
  released: (event: ReleasedEvent) => void
  answer: (session: Session, commandId: number, answer: CommandAnswer) => void
  alert: (event: AlertRaisedEvent) => void
  end: (session: Session, reason: string) => void
}

/**
 * An emitter whose listeners are onlookers: one that throws or rejects neither reaches the caller of `emit` nor
 * keeps the others from being told. Listeners are called with the emitter as `this`.
 */
export class OnlookerEmitter extends EventEmitter<EnforcerEvents> {
  override emit<T extends EventEmitter.EventNames<EnforcerEvents>>(
    event: T,
    ...args: EventEmitter.EventArgs<EnforcerEvents, T>
  ): boolean {
    if (this.listenerCount(event) === 0) return false
    for (const listener of this.listeners(event)) {
      // Takes away those registered by `once` only.
      this.removeListener(event, listener, undefined, true)
      try {
        const result: unknown = Reflect.apply(listener, this, args)
        if (result instanceof Promise) result.catch(() => undefined)
      } catch {
        // A listener is an onlooker: what it does changes no decision.
      }
    }
    return true
  }
}
