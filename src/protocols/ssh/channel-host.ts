import type { Command, CommandAnswer, Denial, Obligations, ShellAnalyzer } from '../../core/index.js'
import type { FlowPort } from './flow.js'
import type { ResolvedSshLimits } from './options.js'

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
  /** Has a command judged. The handler is called later. */
  judge(make: (id: number) => Command, handler: CommandHandler): number
  /** The client has given up on what waits. */
  withdraw(commandId: number): void
  answer(commandId: number, answer: CommandAnswer): void
  record(commandId: number, channel: string, bytes: Uint8Array): void
  refused(via: string, denial: Denial): void
  flushLater(channelId: number, delayMs: number): void
  /** The target may open channels of this kind to the client from here on. */
  allowReverse(kind: string, commandId: number, obligations: Obligations): void
}

export const UNSUPPORTED = (what: string): Denial => ({ reason: 'unsupported', message: `${what} is not supported` })

export const COMPLETED: CommandAnswer = { outcome: 'completed', tags: [], rows: 0, bytes: 0 }
export const FAILED: CommandAnswer = { outcome: 'failed', tags: [], rows: 0, bytes: 0, errorCode: 'refused-by-target' }
export const INTERRUPTED: CommandAnswer = { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 }
