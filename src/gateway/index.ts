export { createGateway, Gateway, type GatewayOptions } from './gateway.js'
export { postgresCatalog, type CatalogFactory, type CatalogSurroundings } from './catalogs.js'
export { targetTransport } from './target.js'
export type {
  ConnectionInfo,
  GatewayEvents,
  GatewayLimits,
  GatewayLogger,
  ListenerAddress,
  ListenerOptions,
  ListenerTls,
  ResourceOptions,
  Target,
  TargetTls,
} from './types.js'
export { FileRecordStore, openFileRecordStore, type FileRecordStoreOptions, type LeftOpen } from './file-store.js'
export { sealRecordingFile } from './seal-file.js'
export { system, type System } from './system.js'
