import type {
  Command,
  CommandAnswer,
  Denial,
  FileContent,
  FileTransfer,
  Obligations,
  Policy,
  PolicyOutcome,
  Resource,
  ShellAnalyzer,
  SqlAnalyzer,
  Subject,
  TerminalSize,
  TextMasker,
} from '../core/index.js'

export interface SessionOptions {
  readonly subject: Subject
  readonly resource: Resource
  readonly clientAddress?: string
  readonly clientName?: string
}

/** What becomes of one command. */
export type Judgement =
  | { readonly permitted: true; readonly obligations: Obligations; readonly outcome: PolicyOutcome }
  | { readonly permitted: false; readonly denial: Denial; readonly outcome?: PolicyOutcome }

/**
 * One subject's work on one resource. Joins policy, approval, masking and recording; still no I/O of its own.
 * Calls come in the order in which things happen on the wire.
 */
export interface Session {
  readonly id: string
  readonly subject: Subject
  readonly resource: Resource
  readonly policy: Policy
  analyzer(protocol: string): SqlAnalyzer
  /** Reads command lines. Never throws; without one of its own, the enforcer's calls every line `unparsed`. */
  readonly shellAnalyzer: ShellAnalyzer
  /** Masks text that belongs to no one command. Undefined: nothing to mask. */
  readonly textMasker: TextMasker | undefined
  /**
   * Decides, holds where the policy says so, and has the command on record before it resolves to a permit.
   * Synchronous unless a rule, an approver or durable recording makes it wait. Never throws or rejects:
   * whatever goes wrong is a refusal.
   *
   * @param inform told what a waiting client may be told
   */
  judge(command: Command, inform: (text: string) => void): Judgement | Promise<Judgement>
  /** The client cancelled or left: a hold on this command ends as `withdrawn`. */
  withdraw(commandId: number): void
  /** How a permitted command ended. */
  answered(commandId: number, answer: CommandAnswer): void
  /** Masked output of a command permitted with record level `full`. The bytes are copied. */
  output(commandId: number, channel: string, bytes: Uint8Array): void
  /**
   * Undefined while the record keeps up. Otherwise the driver should stop reading what it has recorded until this resolves; who does not
   * may fill the recorder's memory, which ends the session. Never rejects.
   */
  recordDrained(): Promise<void> | undefined
  /** A command's terminal has this size from here on; also called once at its start. */
  resized(commandId: number, size: TerminalSize): void
  /**
   * What was typed into a command's terminal. Recorded only by an enforcer made with `recordInput`, line by line; while the
   * target does not echo, nothing but that something was typed.
   */
  input(commandId: number, bytes: Uint8Array, options: { readonly isEchoed: boolean }): void
  /** A command line that was made out in a terminal where lines are not decided on: a hint, and no more. */
  detected(commandId: number, text: string): void
  /** What of a file passed as part of a command: before its answer. */
  transferred(commandId: number, transfer: FileTransfer): void
  /** A piece of such a file, where the policy asks for record level `full`. Masked; the bytes are copied. */
  fileContent(commandId: number, content: FileContent): void
  /** The connection refused a message by itself, before any rule saw it: for the record. */
  refused(via: string, denial: Denial): void
  /** Set when the record can no longer be written: the driver must end the session with it. */
  readonly failure: Denial | undefined
  /** Calls back once, when `failure` is set or the session is revoked. */
  onFailure(listener: (denial: Denial) => void): void
  /** Idempotent. Withdraws what waits, writes the end marker and resolves when it is on disk. */
  end(reason: string): Promise<void>
}
