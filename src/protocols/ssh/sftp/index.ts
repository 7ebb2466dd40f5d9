export { createSftpMachine } from './machine.js'
export type { SftpMachineOptions } from './options.js'
export { SFTP_EXTENSIONS, type SftpExtension } from './extensions.js'
