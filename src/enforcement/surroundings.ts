import type { ApprovalBroker } from '../approval/index.js'
import type { Clock, RandomBytes, Schedule, ShellAnalyzer, SqlAnalyzer } from '../core/index.js'
import type { ActivePolicy } from './active-policy.js'
import type { OnlookerEmitter } from './events.js'
import type { ResolvedLimits } from './limits.js'
import type { CommandDescriber } from './recorded-command.js'

/** What all sessions of an enforcer share. */
export interface SessionSurroundings {
  /** Replaced as one when the policy is. */
  active: ActivePolicy
  /** Masks what is recorded; belongs to `active`. */
  describer: CommandDescriber
  readonly emitter: OnlookerEmitter
  readonly analyzers: ReadonlyMap<string, SqlAnalyzer>
  readonly shellAnalyzer: ShellAnalyzer
  readonly broker: ApprovalBroker | undefined
  readonly clock: Clock
  readonly schedule: Schedule
  readonly randomBytes: RandomBytes
  readonly limits: ResolvedLimits
  readonly isObserving: boolean
  readonly followsPolicy: boolean
  /** Whether what is typed into terminals goes on record. */
  readonly recordsInput: boolean
  forget(sessionId: string): void
}
