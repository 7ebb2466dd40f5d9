import type { Command, CommandAnswer, Denial, SallyportError, Side } from '../../core/index.js'

/** What a connection asks its driver to do, in this order. */
export type SshEvent =
  /** One message of the connection protocol. The bytes are given away. */
  | { readonly type: 'send'; readonly to: Side; readonly payload: Buffer }
  /** Judge it, then call `permit` or `refuse`. */
  | { readonly type: 'command'; readonly command: Command }
  | { readonly type: 'answer'; readonly commandId: number; readonly answer: CommandAnswer }
  /** Output after masking, only for commands permitted with record level `full`. A view: copy to keep. */
  | { readonly type: 'output'; readonly commandId: number; readonly channel: string; readonly bytes: Uint8Array }
  /** The client interrupted or closed what waits: withdraw its hold. */
  | { readonly type: 'withdraw'; readonly commandId: number }
  /** Refused by the connection itself, before any rule saw it: for the record. */
  | { readonly type: 'refused'; readonly via: string; readonly denial: Denial }
  /** Output is held back for a decision: call `flush` with this channel after so long, at the latest. */
  | { readonly type: 'flush-later'; readonly channelId: number; readonly delayMs: number }
  /** Disconnect both sides. `message` is for the client. */
  | { readonly type: 'close'; readonly message: string; readonly error?: SallyportError }
