export { SshConnection } from './connection.js'
export type { SshEvent, WakePurpose } from './events.js'
export type { SshConnectionOptions, SshLimits, SshPermissions } from './options.js'
