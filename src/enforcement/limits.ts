import { positiveLimits } from '../core/index.js'

/** What bounds an enforcer's memory and waits. */
export interface EnforcerLimits {
  /** Sessions open at once. Default 10000: more than one process can serve. */
  readonly maxSessions?: number
  /** A policy engine that takes longer is a refusal. Default 1000: a person notices a second, and an engine next door needs a hundredth of it. */
  readonly engineTimeoutMs?: number
  /** A durable record that is not on disk by then has failed, and the session with it. Default 30 s: a disk that takes longer is gone. */
  readonly recordTimeoutMs?: number
  /** No hold waits longer, whatever its rule says. Default 24 hours: a shift and the next. */
  readonly maxHoldMs?: number
  /** For a hold whose rule does not say. Default 5 minutes: what clients and people put up with. */
  readonly defaultHoldMs?: number
  /** Between two lines to a client that it still waits. Default 10 s: below every common idle timeout. */
  readonly remindMs?: number
  /** How often one command may be asked for anew because the policy changed while it waited. Default 3. */
  readonly maxHoldRounds?: number
  /** Commands of one session. Default: no limit. */
  readonly maxSessionCommands?: number
  /** Rows that one session may have been answered before it gets no more. Default: no limit. */
  readonly maxSessionRows?: number
  /** The same in bytes. Default: no limit. */
  readonly maxSessionBytes?: number
}

export type ResolvedLimits = Required<EnforcerLimits>

/** @throws SallyportError `invalid_option` */
export function resolveLimits(limits: EnforcerLimits = {}): ResolvedLimits {
  const resolved = positiveLimits<ResolvedLimits>({
    maxSessions: limits.maxSessions ?? 10_000,
    engineTimeoutMs: limits.engineTimeoutMs ?? 1_000,
    recordTimeoutMs: limits.recordTimeoutMs ?? 30_000,
    maxHoldMs: limits.maxHoldMs ?? 86_400_000,
    defaultHoldMs: limits.defaultHoldMs ?? 300_000,
    remindMs: limits.remindMs ?? 10_000,
    maxHoldRounds: limits.maxHoldRounds ?? 3,
    maxSessionCommands: limits.maxSessionCommands ?? Number.POSITIVE_INFINITY,
    maxSessionRows: limits.maxSessionRows ?? Number.POSITIVE_INFINITY,
    maxSessionBytes: limits.maxSessionBytes ?? Number.POSITIVE_INFINITY,
  })
  // Timers count in 31 bits: a longer one fires at once.
  return { ...resolved, maxHoldMs: Math.min(resolved.maxHoldMs, 2_147_483_647) }
}
