export { createScpMachine } from './machine.js'
export type { ScpMachineOptions } from './options.js'
export { parseScpCommand, type ScpCommand } from './parse-command.js'
