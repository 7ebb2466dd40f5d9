/**
 * What is done with a file or directory. `list`: learns the names in it, or that it exists and with which attributes.
 * `metadata`: changes owner, mode, times or attributes.
 */
export type FileAccessMode = 'read' | 'write' | 'create' | 'delete' | 'execute' | 'metadata' | 'list'

/** A path that a command touches, and how. */
export interface FileAccess {
  /**
   * Normalised: no empty, `.` or (where it can be told) `..` parts, no trailing slash. Absolute, or relative to a
   * directory nobody here knows, or beginning with `~`. A word that cannot be known stands as it is written.
   */
  readonly path: string
  readonly modes: readonly FileAccessMode[]
  /** Everything below it too. */
  readonly isRecursive: boolean
  /** False where the path is a pattern, or has a part that only running it would tell. */
  readonly isExact: boolean
}
