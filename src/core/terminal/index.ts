export {
  TERMINAL_PART,
  TerminalParser,
  type TerminalPart,
  type TerminalSequenceType,
} from './terminal-parser.js'
export { LEAVE_TERMINAL_MODES, TerminalModes, TerminalModeWatch } from './terminal-modes.js'
export { characterWidth } from './character-width.js'
export { hasNoSequences } from './plain-text.js'
export { sanitizeTerminal, TerminalSanitizer } from './sanitize.js'
