import type {
  CommandAnswer,
  Denial,
  FileContent,
  FileTransfer,
  Obligations,
  SallyportError,
  SftpCommand,
  Side,
} from '../../../core/index.js'

/**
 * What a file machine asks its driver to do, in order. `write` bytes, and those of `content`, are views of what `receive`
 * was given: see there.
 */
export type FileChannelEvent =
  | { readonly type: 'write'; readonly to: Side; readonly bytes: Uint8Array }
  /** Judge it, then call `permit` or `refuse`. Later bytes of the client wait behind it. */
  | { readonly type: 'command'; readonly command: SftpCommand }
  /** How a permitted command ended. For `open` and `opendir`: when the handle was closed. */
  | { readonly type: 'answer'; readonly commandId: number; readonly answer: CommandAnswer }
  /**
   * Content of a file, only for commands permitted with record level `full`. Masked where the obligations have a masker
   * for streams, and then `offset` is where the first byte before masking was. A view: copy to keep.
   */
  | { readonly type: 'content'; readonly commandId: number; readonly content: FileContent }
  | { readonly type: 'transfer'; readonly commandId: number; readonly transfer: FileTransfer }
  /** The machine refused something by itself, before or after a rule saw it: for the record. */
  | { readonly type: 'refused'; readonly via: string; readonly denial: Denial }
  /** The hold on this command has nobody left who waits for it. */
  | { readonly type: 'withdraw'; readonly commandId: number }
  /** Everything for this side was written: send it the end of the stream. */
  | { readonly type: 'end'; readonly to: Side }
  /** Nothing more comes: close both channels once what was written has left. */
  | { readonly type: 'close'; readonly error?: SallyportError }

/**
 * The bytes of one channel as a pure state machine between a client and a server of files. Call `next` until it is empty
 * after every other call.
 *
 * INVARIANT: nothing of an operation reaches the server, and nothing of a file reaches either side, before `permit`.
 */
export interface FileMachine {
  /**
   * Never throws for what a peer sent: that ends in a `close` event.
   *
   * @param chunk belongs to the machine from here on, unless it is lent
   * @param isLent the driver reuses the chunk's memory as soon as `next` has run empty: `write` events may be views of it
   */
  receive(from: Side, chunk: Uint8Array, isLent?: boolean): void
  next(): FileChannelEvent | undefined
  /** @throws SallyportError `misuse` when this command is not the one that waits */
  permit(commandId: number, obligations?: Obligations): void
  /** Answers the client in the protocol's own way; the session lives on. @throws SallyportError `misuse` as for `permit` */
  refuse(commandId: number, denial: Denial): void
  /** The side will send nothing more. */
  end(from: Side): void
  /** The channel is gone: tells how everything ended that is still open, then `close`. Idempotent. */
  abandon(error?: SallyportError): void
  /** False while this side must wait: for a verdict, for answers, for room. */
  wantsRead(from: Side): boolean
}
