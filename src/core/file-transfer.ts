/** What became of one file that was read or written through the gateway, once it is closed. */
export interface FileTransfer {
  /** `upload`: to the target. */
  readonly direction: 'upload' | 'download'
  readonly path: string
  /** Content bytes that went past, also when the same part went more than once. */
  readonly bytes: number
  /** SHA-256 of the content in lower-case hexadecimal. Only where all of it went past in order, from the beginning. */
  readonly sha256?: string
  /** False: the channel or the session ended, or a cap was reached, before the file was closed. */
  readonly isComplete: boolean
}

/** A piece of a transferred file, for recordings that keep content. */
export interface FileContent {
  readonly direction: 'upload' | 'download'
  readonly path: string
  /** Where in the file it stands. */
  readonly offset: number
  readonly bytes: Uint8Array
}
