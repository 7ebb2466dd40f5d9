import type { FileAccess } from './file-access.js'
import type { Certainty } from './sql-facts.js'

/** What makes a command line dangerous, by what its commands are known to do. */
export type ShellHazard =
  /** Deletes recursively or by pattern outside temporary directories, or deletes what a system needs. */
  | 'destructive-delete'
  /** Writes to a disk, partition or raw device, makes or wipes a file system. */
  | 'disk-overwrite'
  /** Reads or replaces private keys, password files, tokens, cloud or cluster credentials. */
  | 'credential-file'
  /** Gives a shell to somebody on the network. */
  | 'reverse-shell'
  /** Runs what was fetched from the network. */
  | 'download-and-run'
  /** Opens or switches off packet filters, listens for connections, tunnels. */
  | 'firewall'
  /** Clears or switches off histories, logs, auditing. */
  | 'log-tampering'
  | 'service-stop'
  | 'shutdown'
  | 'fork-bomb'
  /** Changes who may do what: users, groups, sudoers, setuid bits, capabilities. */
  | 'privilege-change'
  /** Arranges for something to run later: cron, at, systemd units, shell profiles, authorized_keys. */
  | 'persistence'
  /** Sends files or output of commands to the network. */
  | 'exfiltration'
  /** Runs code that the line does not show: scripts, pipes into interpreters, `eval` of unknown words, LD_PRELOAD. */
  | 'unseen-code'
  /**
   * Lines of interactive shells only. Changes what later lines of the same shell mean: aliases, functions, traps, key
   * bindings, options of shell and terminal, PATH and the like.
   */
  | 'redefinition'

/** One program the line would run, with everything around it taken off: `sudo -u x env A=1 rm -fr /` is an `rm`. */
export interface ShellSimpleCommand {
  /** Its base name, such as `rm`. Undefined where only running the line would tell. */
  readonly program: string | undefined
  /** As written, such as `/bin/rm`. */
  readonly word: string
  /** Without the program. Unquoted; a word that cannot be known stands as it is written. */
  readonly arguments: readonly string[]
  /**
   * Long names without dashes where the program is known (`rm -fr` and `rm --recursive --force` are both `force`,
   * `recursive`), otherwise as written. Sorted, each once.
   */
  readonly flags: readonly string[]
  /** Arguments that are neither flags nor values of flags, where the program is known. */
  readonly operands: readonly string[]
  readonly assignments: readonly ShellAssignment[]
  /** What was taken off, outermost first: `sudo`, `env`, `xargs`, `sh -c`, `ssh`, `find -exec`. */
  readonly wrappers: readonly string[]
  /** Runs elsewhere: behind `ssh host`, `kubectl exec`, `docker exec`. */
  readonly isRemote: boolean
  readonly certainty: Certainty
}

export interface ShellAssignment {
  readonly name: string
  /** Undefined where only running the line would tell. */
  readonly value: string | undefined
}

/** Somebody on the network that the line talks to, or waits for. */
export interface NetworkTarget {
  /** Undefined: not known from the text. */
  readonly host: string | undefined
  readonly port?: number
  readonly direction: 'connect' | 'listen'
}

/** What a command line does, as far as its text tells. Produced by `analysis/shell`. */
export interface ShellFacts {
  /** `exact`: every program, word and path below is what would run. `unparsed`: nothing below may be relied on. */
  readonly certainty: Certainty
  /** Why it could not be parsed. */
  readonly problem?: string
  /** In the order of the text. */
  readonly commands: readonly ShellSimpleCommand[]
  readonly files: readonly FileAccess[]
  readonly network: readonly NetworkTarget[]
  /** Runs something as somebody else: sudo, su, doas, setuid helpers, nsenter, chroot. */
  readonly isPrivileged: boolean
  readonly hazards: readonly ShellHazard[]
}

export interface ShellAnalyzer {
  /** Pure, never throws: what cannot be parsed comes back `unparsed`. The same text may get the same object. */
  analyze(text: string, reading?: ShellReading): ShellFacts
}

export interface ShellReading {
  /** The line goes into an interactive shell, which expands its history first, and remembers what the line defines. Default false. */
  readonly isInteractive?: boolean
}
