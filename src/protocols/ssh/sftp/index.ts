export { createSftpMachine } from './machine.js'
export type { SftpMachineOptions } from './options.js'
