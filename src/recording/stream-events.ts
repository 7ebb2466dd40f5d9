import type { FileContent, FileTransfer } from '../core/index.js'

interface StreamEventBase {
  /** When it happened, in milliseconds since the Unix epoch. */
  readonly atUnixMs: number
  readonly commandId: number
}

/** A command's terminal has this size from here on. */
export interface ResizeEvent extends StreamEventBase {
  readonly type: 'resize'
  readonly columns: number
  readonly rows: number
}

/**
 * What was typed into a command's terminal, line by line. Secrets of command lines are taken out by the recorder. While the target does not
 * echo there are no bytes, and nothing tells how many keys it were.
 */
export type InputEvent = StreamEventBase & { readonly type: 'input' } & (
    | { readonly bytes: Uint8Array }
    | { readonly isHidden: true }
  )

/** A command line made out in a terminal where lines are not decided on: a hint, and no more. */
export interface DetectedEvent extends StreamEventBase {
  readonly type: 'detected'
  readonly text: string
}

/** A file went through. */
export interface TransferEvent extends StreamEventBase, FileTransfer {
  readonly type: 'transfer'
}

/** A piece of a file that went through. The bytes are copied and kept exactly. */
export interface ContentEvent extends StreamEventBase, FileContent {
  readonly type: 'content'
}

/** What happens in a command's streams besides its output. */
export type StreamEvent = ResizeEvent | InputEvent | DetectedEvent | TransferEvent | ContentEvent

/** The event with bytes of its own: the caller's buffer may be reused before they are written. */
export function keptEvent(event: StreamEvent): StreamEvent {
  return 'bytes' in event && event.type !== 'transfer' ? { ...event, bytes: Buffer.from(event.bytes) } : event
}

/** About how much longer than a plain line its line is. */
export function sizeOfStreamEvent(event: StreamEvent): number {
  const ofBytes = 'bytes' in event && event.type !== 'transfer' ? event.bytes.length * 2 : 0
  const ofRuns = 'runs' in event ? event.path.length + event.runs.length * 40 : 0
  return ofBytes + ofRuns + ('text' in event ? event.text.length : 0)
}
