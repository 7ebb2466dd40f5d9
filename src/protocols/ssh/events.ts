import type {
  Command,
  CommandAnswer,
  Denial,
  FileContent,
  FileTransfer,
  SallyportError,
  Side,
  TerminalSize,
} from '../../core/index.js'

/**
 * What a channel wants to be woken for. `flush`: output waits for a decision. `escalate`: a refused program does not end. `disconnect`: clients
 * have had their moment to leave.
 */
export type WakePurpose = 'flush' | 'escalate' | 'disconnect'

/** What a connection asks its driver to do, in this order. */
export type SshEvent =
  /**
   * One message of the connection protocol. Of channel data, `payload` is the head and `body` what follows it, which may be a view
   * of what was received: send or copy it at once.
   */
  | { readonly type: 'send'; readonly to: Side; readonly payload: Buffer; readonly body?: Buffer }
  /** Judge it, then call `permit` or `refuse`. */
  | { readonly type: 'command'; readonly command: Command }
  | { readonly type: 'answer'; readonly commandId: number; readonly answer: CommandAnswer }
  /** Output after masking, only for commands permitted with record level `full`. A view: copy to keep. */
  | { readonly type: 'output'; readonly commandId: number; readonly channel: string; readonly bytes: Uint8Array }
  /** The client interrupted or closed what waits: withdraw its hold. */
  | { readonly type: 'withdraw'; readonly commandId: number }
  /** Refused by the connection itself, before any rule saw it: for the record. */
  | { readonly type: 'refused'; readonly via: string; readonly denial: Denial }
  /** What of a file passed as part of a command: before its answer. */
  | { readonly type: 'transferred'; readonly commandId: number; readonly transfer: FileTransfer }
  /** A piece of such a file, for commands permitted with record level `full`. A view: copy to keep. */
  | { readonly type: 'file-content'; readonly commandId: number; readonly content: FileContent }
  | { readonly type: 'resized'; readonly commandId: number; readonly size: TerminalSize }
  /** A guess at what was typed into a shell that passes unjudged. */
  | { readonly type: 'detected'; readonly commandId: number; readonly text: string }
  /** Call `wake` with channel and purpose after so long, at the latest. */
  | {
      readonly type: 'wake-later'
      readonly channelId: number
      readonly purpose: WakePurpose
      readonly delayMs: number
    }
  /** Disconnect both sides. `message` is for the client. */
  | { readonly type: 'close'; readonly message: string; readonly error?: SallyportError }
