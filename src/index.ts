/**
 * The paved path: what it takes to put a guard in front of a target. Analyzers are heavy and come by their own subpaths, such as
 * `sallyport/analysis/postgres`; everything else of a layer by the layer's.
 *
 * @packageDocumentation
 */
export {
  SallyportError,
  Secret,
  type Command,
  type Denial,
  type Obligations,
  type ReasonCode,
  type Resource,
  type SqlCommand,
  type SqlFacts,
  type Subject,
} from './core/index.js'
export { createMemoryBroker } from './approval/index.js'
export { staticCredentials } from './credentials/index.js'
export { createEnforcer, type Enforcer, type EnforcerOptions, type Session } from './enforcement/index.js'
export {
  createGateway,
  type Gateway,
  type GatewayOptions,
  openFileRecordStore,
  postgresCatalog,
  system,
} from './gateway/index.js'
export { clientCertificates, staticUsers, tokens } from './identity/index.js'
export { createMasking } from './masking/index.js'
export { createPolicy, defineRule, loadPolicy, packs } from './policy/index.js'
export { makeScramVerifier, postgres, type PostgresOptions } from './protocols/postgres/index.js'
export { createRecorder, verifyRecording } from './recording/index.js'
export { createGuard, guardedStream } from './streams/index.js'
