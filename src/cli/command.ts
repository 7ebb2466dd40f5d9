/** What a command may touch of its surroundings. */
export interface Io {
  /** Standard input, for `-`. */
  readonly stdin: AsyncIterable<Uint8Array>
  /** Writes to standard output; resolves when more may be written. */
  out(text: string | Uint8Array): Promise<void>
  /** Resolves after so long. */
  wait(delayMs: number): Promise<void>
  /** Writes a line for a person to standard error. */
  error(line: string): void
}

/** 0: done and good. 1: done, and the answer is no. 2: not done: wrong arguments, or a file that cannot be read. */
export type ExitCode = 0 | 1 | 2

export interface CliCommand {
  /** As typed, such as `policy check`. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Everything about it, shown by `--help`. */
  readonly help: string
  run(args: readonly string[], io: Io): Promise<ExitCode>
}

/** The command cannot be carried out as it was typed. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
