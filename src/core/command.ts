import type { FileAccess } from './file-access.js'
import type { ShellFacts } from './shell-facts.js'
import type { SqlFacts, SqlSessionState } from './sql-facts.js'

/** A value bound to a statement. */
export interface BoundValue {
  /** PostgreSQL type OID or the protocol's type number; 0 when the server chooses. */
  readonly type: number
  readonly format: 'text' | 'binary'
  /** Exact bytes as sent; undefined for NULL. A copy: safe to keep. */
  readonly bytes?: Uint8Array
}

export interface CommandBase {
  /** Unique within its session, counted from 1. */
  readonly id: number
  /** Protocol name, such as `postgres`. */
  readonly protocol: string
  /** Which of the session's channels it came on, counted from 1 in the order of their opening. Missing: there is only one. */
  readonly channelId?: number
}

/**
 * A SQL text about to run or to be prepared.
 *
 * `prepare`: the text is only planned (Parse); values are not known yet and nothing runs. A hold is not
 * acted on here, it waits for the values. `execute`: it runs, with these values.
 */
export interface SqlCommand extends CommandBase {
  readonly kind: 'sql'
  readonly dialect: 'postgres' | 'mysql' | 'mariadb'
  readonly phase: 'prepare' | 'execute'
  /** How it came: the protocol's own word, such as `Query`, `Parse`, `Bind`, `FunctionCall`. */
  readonly via: string
  readonly text: string
  readonly parameters: readonly BoundValue[]
  readonly facts: SqlFacts
  readonly state: SqlSessionState
  /** `idle`, `transaction` or `failed`, as last reported by the server. */
  readonly transaction: 'idle' | 'transaction' | 'failed'
  /** Counts transactions of this session: tells apart two transactions in an approval. */
  readonly transactionSerial: number
}

/** A command line for the target's shell: from an `exec` request, or a whole line of a guarded terminal. */
export interface ShellCommand extends CommandBase {
  readonly kind: 'shell'
  readonly via: 'exec' | 'line'
  readonly text: string
  readonly facts: ShellFacts
  /** What the client asked to have set, and was allowed to. */
  readonly environment: readonly EnvironmentVariable[]
  readonly hasTerminal: boolean
}

export interface EnvironmentVariable {
  readonly name: string
  readonly value: string
}

/** An interactive shell is about to start: what is typed into it cannot be known from its keystrokes. */
export interface TerminalCommand extends CommandBase {
  readonly kind: 'terminal'
  readonly via: 'shell'
  /** A description for people and text patterns. */
  readonly text: string
  readonly environment: readonly EnvironmentVariable[]
  readonly hasTerminal: boolean
}

export type SftpOperation =
  | 'open'
  | 'opendir'
  | 'stat'
  | 'setstat'
  | 'remove'
  | 'mkdir'
  | 'rmdir'
  | 'rename'
  | 'readlink'
  | 'symlink'
  | 'hardlink'
  | 'realpath'
  | 'copy'
  | 'statvfs'
  | 'fsync'
  | 'extension'

/** One operation on the target's files, by SFTP or the older scp. */
export interface SftpCommand extends CommandBase {
  readonly kind: 'sftp'
  /** `sftp` or `scp`. */
  readonly via: 'sftp' | 'scp'
  readonly operation: SftpOperation
  /** One line for people and text patterns, such as `open /etc/passwd for reading`. */
  readonly text: string
  readonly files: readonly FileAccess[]
  /** The extension's name, for operation `extension`. */
  readonly extension?: string
}

/** A connection through the target to somewhere else, or from there back. */
export interface PortForwardCommand extends CommandBase {
  readonly kind: 'port-forward'
  /** The protocol's own word: `direct-tcpip`, `direct-streamlocal@openssh.com`, `tcpip-forward`, ... */
  readonly via: string
  readonly text: string
  /** `local`: the client connects out through the target. `remote`: the target listens for the client. */
  readonly direction: 'local' | 'remote'
  readonly host?: string
  readonly port?: number
  readonly socketPath?: string
}

/** Anything else a client asks of a channel or the connection: env, subsystem, x11-req, agent forwarding, ... */
export interface SshRequestCommand extends CommandBase {
  readonly kind: 'ssh-request'
  /** The request's own name. */
  readonly via: string
  /** What it names: the variable, the subsystem, the signal. Empty where it names nothing. */
  readonly name: string
  /** One line for people and text patterns, such as `env LANG=C`. */
  readonly text: string
}

/** Plug-ins add their commands by declaration merging. */
export interface CommandKinds {
  sql: SqlCommand
  shell: ShellCommand
  terminal: TerminalCommand
  sftp: SftpCommand
  'port-forward': PortForwardCommand
  'ssh-request': SshRequestCommand
}

export type Command = CommandKinds[keyof CommandKinds]
