export type { ApprovalBroker, ApprovalResolution, HoldRequest } from './broker.js'
export { describeCommand, type CommandDescription } from './describe.js'
export { encodeDigestInput, holdDigest, type DigestInput } from './digest.js'
export { eligibilityProblem, sharesIdentity, type EligibilityProblem } from './eligibility.js'
export {
  approvalsMissing,
  approveHold,
  createHold,
  expireHold,
  isFinal,
  rejectHold,
  releaseHold,
  withdrawHold,
  type Approval,
  type Hold,
  type HoldPhase,
  type HoldRefusal,
  type HoldRefusalCode,
  type HoldSeed,
  type HoldStep,
} from './hold.js'
export {
  createMemoryBroker,
  MemoryBroker,
  type ApproverAnswer,
  type HoldSummary,
  type HoldView,
  type MemoryBrokerEvents,
  type MemoryBrokerLimits,
  type MemoryBrokerOptions,
} from './memory-broker.js'
export { DEFAULT_MAX_CHARACTERS, renderForDisplay, type Rendering, type RenderOptions } from './render.js'
