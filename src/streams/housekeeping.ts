import type { Policy, Resource, ShellAnalyzer, SqlAnalyzer } from '../core/index.js'
import type { Judgement, Session } from '../enforcement/types.js'

const PERMITTED: Judgement = {
  permitted: true,
  obligations: {},
  outcome: {
    effect: 'allow',
    reason: 'rule',
    matchedRuleIds: [],
    masks: { columns: [], detectors: [] },
    recordLevel: 'none',
    alerts: [],
  },
}

const POLICY: Policy = {
  digest: 'housekeeping',
  decide: () => {
    throw new Error('housekeeping asks no policy')
  },
  sessionMasks: { columns: [], detectors: [] },
}

const NO_SHELL: ShellAnalyzer = {
  analyze: () => {
    throw new Error('housekeeping runs no command lines')
  },
}

/**
 * A session for what the gateway itself asks of a target, such as its catalogue: all is permitted, nothing is
 * masked or recorded.
 *
 * INVARIANT: no text of a client ever runs in it.
 */
export function housekeepingSession(resource: Resource, analyzer: SqlAnalyzer): Session {
  return {
    id: 'housekeeping',
    subject: { id: 'sallyport', type: 'service' },
    resource,
    policy: POLICY,
    analyzer: () => analyzer,
    shellAnalyzer: NO_SHELL,
    textMasker: undefined,
    judge: () => PERMITTED,
    withdraw: () => {},
    answered: () => {},
    output: () => {},
    recordDrained: () => undefined,
    resized: () => {},
    input: () => {},
    detected: () => {},
    transferred: () => {},
    fileContent: () => {},
    refused: () => undefined,
    failure: undefined,
    onFailure: () => {},
    end: () => Promise.resolve(),
  }
}
