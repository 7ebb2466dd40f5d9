export { createDriver, Driver } from './driver.js'
export type {
  AdmittedClient,
  CatalogSource,
  DriverObserver,
  DriverOptions,
  DriverPorts,
  UpstreamLink,
} from './driver-types.js'
export type { Peer } from './peer.js'
export { StreamPeer, type StreamPeerOptions } from './stream-peer.js'
export { createGuard, type Guard, type GuardOptions } from './guard.js'
export {
  GuardedStream,
  guardedStream,
  type GuardedSession,
  type GuardedStreamOptions,
  type SessionOpener,
  type UpstreamTransport,
} from './guarded-stream.js'
export { housekeepingSession } from './housekeeping.js'
export { createPostgresCatalog, PostgresCatalog, type PostgresCatalogOptions } from './postgres-catalog.js'
export { recorderTap, textMaskTransform, type TextMaskOptions } from './text-transforms.js'
