export { SshConnection } from './connection.js'
export type { SshEvent } from './events.js'
export type { SshConnectionOptions, SshLimits } from './options.js'
