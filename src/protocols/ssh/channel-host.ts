import type {
  Command,
  CommandAnswer,
  Denial,
  FileContent,
  FileTransfer,
  Obligations,
  ShellAnalyzer,
  TerminalSize,
  TextMasker,
} from '../../core/index.js'
import type { FlowPort } from './flow.js'
import type { WakePurpose } from './events.js'
import type { ResolvedSshLimits, SshPermissions } from './options.js'

/** What becomes of a command once it is judged. Exactly one of the first two is called, once. */
export interface CommandHandler {
  permit(obligations: Obligations): void
  refuse(denial: Denial): void
  /** While it waits. */
  inform?(text: string): void
}

/** What channels need of their connection. */
export interface ChannelHost extends FlowPort {
  readonly limits: ResolvedSshLimits
  readonly shellAnalyzer: ShellAnalyzer
  /** For text that belongs to no one command. */
  readonly textMasker: TextMasker | undefined
  readonly permissions: SshPermissions
  readonly guardedShellCommand: string
  nextCommandId(): number
  /** The session is over but for last words: nothing new begins. */
  readonly isEnding: boolean
  /** Has a command judged. The handler is called later. */
  judge(make: (id: number) => Command, handler: CommandHandler): number
  /** The same for one that has its id already. */
  judgeCommand(command: Command, handler: CommandHandler): void
  /** The client has given up on what waits. */
  withdraw(commandId: number): void
  answer(commandId: number, answer: CommandAnswer): void
  record(commandId: number, channel: string, bytes: Uint8Array): void
  refused(via: string, denial: Denial): void
  wakeLater(channelId: number, purpose: WakePurpose, delayMs: number): void
  transferred(commandId: number, transfer: FileTransfer): void
  fileContent(commandId: number, content: FileContent): void
  resized(commandId: number, size: TerminalSize): void
  detected(commandId: number, text: string): void
  /** The target may open channels of this kind to the client from here on. */
  allowReverse(kind: string, commandId: number, obligations: Obligations): void
}

export const UNSUPPORTED = (what: string): Denial => ({ reason: 'unsupported', message: `${what} is not supported` })

/** What a key or certificate does not allow whoever logged in with it. */
export const NOT_PERMITTED = (what: string): Denial => ({
  reason: 'rule',
  message: `\`${what}\` is not permitted by what was logged in with`,
})

export const COMPLETED: CommandAnswer = { outcome: 'completed', tags: [], rows: 0, bytes: 0 }
export const FAILED: CommandAnswer = { outcome: 'failed', tags: [], rows: 0, bytes: 0, errorCode: 'refused-by-target' }
export const INTERRUPTED: CommandAnswer = { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 }
