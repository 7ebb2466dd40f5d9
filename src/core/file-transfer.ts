/** A stretch of a file that passed without a gap. */
export interface TransferRun {
  readonly offset: number
  readonly bytes: number
}

/** What of one file passed in one direction: told once, before the answer to the command that opened it. */
export interface FileTransfer {
  readonly direction: 'read' | 'write'
  /** As in the command's `files`. */
  readonly path: string
  /** Bytes of content that passed, bytes that passed twice counted twice. */
  readonly bytes: number
  /**
   * Hexadecimal digest of these bytes in the order in which they passed: that of the file where there is one run from
   * offset 0 to its end. Undefined with record level `none`.
   */
  readonly sha256?: string
  /** In the order in which they passed. */
  readonly runs: readonly TransferRun[]
  /** Runs beyond those listed. */
  readonly omittedRuns: number
}

/** A piece of a file on its way, for recordings that keep content. */
export interface FileContent {
  readonly direction: 'read' | 'write'
  /** Where in the file it stands. */
  readonly offset: number
  readonly bytes: Uint8Array
}
