import type { FileAccess, ShellFacts } from '../core/index.js'

/** What a command of another kind than `sql` is besides its text. */
export interface CommandDetail {
  /** Which of the session's channels it came on. */
  readonly channelId?: number
  readonly hasTerminal?: boolean
  /** Names of variables alone: their values may be secrets. */
  readonly environment?: readonly string[]
  /** Of a command line. Summarised in the record. */
  readonly facts?: ShellFacts
  /** Of an operation on files. */
  readonly operation?: string
  readonly extension?: string
  readonly files?: readonly FileAccess[]
  /** Of a forwarded connection. */
  readonly direction?: string
  readonly host?: string
  readonly port?: number
  readonly socketPath?: string
  /** What a request names: a variable, a subsystem, a signal. */
  readonly name?: string
}
