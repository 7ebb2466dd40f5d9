export { type EnforcementMode, type MaskCompiler } from './active-policy.js'
export {
  createEnforcer,
  Enforcer,
  type EnforcerOptions,
  type Explanation,
} from './enforcer.js'
export type {
  AlertRaisedEvent,
  DecisionEvent,
  EnforcerEvents,
  HoldStartedEvent,
  ReleasedEvent,
} from './events.js'
export type { EnforcerLimits } from './limits.js'
export type { Judgement, Session, SessionOptions } from './types.js'
