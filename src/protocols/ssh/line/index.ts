export { createGuardedTerminal } from './guarded-terminal.js'
export {
  GUARDED_SHELL_COMMAND,
  type GuardedTerminal,
  type GuardedTerminalEvent,
  type GuardedTerminalOptions,
} from './guarded-terminal-types.js'
export { type CommandHints, createCommandHints } from './command-hints.js'
export { GUARDED_TERMINAL_MODES } from './terminal-modes.js'
