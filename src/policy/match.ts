import type {
  Certainty,
  FileAccessMode,
  FunctionHazard,
  SftpOperation,
  ShellHazard,
  SqlClass,
  SqlCommand,
  Subject,
  TableAccessMode,
} from '../core/index.js'

/** A value, or a list of alternatives. */
export type OneOrMany<T> = T | readonly T[]

/** How a table is used; `write` stands for insert, update, delete and truncate. */
export type TableAccessWord = TableAccessMode | 'write'

/** Tables by name, narrowed to how they are used. */
export interface TablesMatch {
  readonly tables: OneOrMany<string>
  readonly access?: OneOrMany<TableAccessWord>
}

export type ColumnAccessWord = 'read' | 'write' | 'predicate'

/** Columns by name, narrowed to how they are used. */
export interface ColumnsMatch {
  readonly columns: OneOrMany<string>
  readonly access?: OneOrMany<ColumnAccessWord>
}

/** Programs by name, narrowed to the flags they are called with. */
export interface ProgramsMatch {
  readonly programs: OneOrMany<string>
  /**
   * All of these, as the facts name them: `recursive` for a known program, `-r` as written for another. A permission
   * holds for these and no others.
   */
  readonly flags?: OneOrMany<string>
}

/** How a file is used. `write` includes `create`; `change` stands for write, create, delete and metadata. */
export type FileAccessWord = FileAccessMode | 'change'

/** Files by path, narrowed to how they are used. */
export interface FilesMatch {
  readonly files: OneOrMany<string>
  readonly access?: OneOrMany<FileAccessWord>
}

/** RE2 patterns over the command's text. */
export interface TextMatch {
  readonly patterns: OneOrMany<string>
  /** Default false: ASCII letters match in either case. */
  readonly caseSensitive?: boolean
}

export type Weekday = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun'

/** A span of wall-clock time. A window that crosses midnight belongs to the day on which it begins. */
export interface TimeWindow {
  /** Default: every day. */
  readonly days?: OneOrMany<Weekday>
  /** `HH:MM`, included. Default `00:00`. */
  readonly from?: string
  /** `HH:MM`, excluded. Default `24:00`. */
  readonly to?: string
  /** IANA name such as `Europe/Berlin`. Default `UTC`. */
  readonly timeZone?: string
}

/**
 * What a rule is about. Every given key must hold; a list holds when one of its entries does.
 *
 * Keys that speak of what a command does are read by the rule's effect. A prohibition (deny, hold, or
 * obligations only) asks whether the command does **any** of it; a permission (allow) asks whether the
 * command does **nothing else**. `not` swaps the two. See `docs/policy.md`.
 */
export interface Match {
  /** Protocol names, such as `postgres`. */
  readonly protocols?: OneOrMany<string>
  /** Kinds of command, such as `sql`. */
  readonly kinds?: OneOrMany<string>
  /** Globs over the resource's name. */
  readonly resources?: OneOrMany<string>
  /** Globs over the resource's tags, by tag. Every tag must be there. */
  readonly tags?: Readonly<Record<string, OneOrMany<string>>>
  /** Globs over the subject's id. */
  readonly subjects?: OneOrMany<string>
  /** A subject of no known type counts as every type for a prohibition and as none for a permission. */
  readonly subjectTypes?: OneOrMany<NonNullable<Subject['type']>>
  /** Globs; the subject is in one of these groups. */
  readonly groups?: OneOrMany<string>
  readonly dialects?: OneOrMany<SqlCommand['dialect']>
  readonly phases?: OneOrMany<SqlCommand['phase']>
  /** Leading words of statements: `drop` covers `drop table`. A write inside another statement counts under its own verb too. */
  readonly verbs?: OneOrMany<string>
  readonly classes?: OneOrMany<SqlClass>
  /** Globs `schema.table` or `table`. */
  readonly tables?: OneOrMany<string | TablesMatch>
  /** Globs `schema.table.column`, `table.column` or `column`. */
  readonly columns?: OneOrMany<string | ColumnsMatch>
  /** Globs `schema.function` or `function`. */
  readonly functions?: OneOrMany<string>
  readonly functionHazards?: OneOrMany<FunctionHazard>
  /** An UPDATE or DELETE without WHERE, or with one that is always true. */
  readonly missingWhere?: boolean
  /** Returns rows without a constant row limit. */
  readonly noRowLimit?: boolean
  /** Returns rows with a limit above this, or without one. */
  readonly rowLimitOver?: number
  /** Globs over programs' base names; one with a slash is a path, such as `/opt/app/bin/*`. */
  readonly programs?: OneOrMany<string | ProgramsMatch>
  readonly hazards?: OneOrMany<ShellHazard>
  /** Globs over paths: `*` within one part, `**` for any number of parts. Without a leading slash: below any directory. */
  readonly files?: OneOrMany<string | FilesMatch>
  /** Globs over hosts that a command line talks to or listens on, or that a port is forwarded to. */
  readonly hosts?: OneOrMany<string>
  /** Ports of the same. */
  readonly ports?: OneOrMany<number>
  /** Runs something as somebody else. */
  readonly isPrivileged?: boolean
  /** Runs on another machine or in a container. */
  readonly isRemote?: boolean
  /** Globs over what stands around a program: `sudo`, `env`, `xargs`, `sh`. */
  readonly wrappers?: OneOrMany<string>
  /** Operations on files by SFTP or scp. */
  readonly operations?: OneOrMany<SftpOperation>
  /** Globs over the names of SSH requests: `env`, `subsystem`, `x11-req`, `direct-tcpip`, `shell`. */
  readonly requests?: OneOrMany<string>
  /** Globs over what an SSH request names: a variable, a subsystem, a signal. */
  readonly names?: OneOrMany<string>
  /** A terminal is attached. */
  readonly hasTerminal?: boolean
  /** Globs over the names of environment variables that are set for a shell or by a command line. */
  readonly environment?: OneOrMany<string>
  /** RE2 patterns. A prohibition looks for one anywhere, a permission needs one to match the whole text. */
  readonly text?: OneOrMany<string | TextMatch>
  readonly certainty?: OneOrMany<Certainty>
  readonly isDynamic?: boolean
  readonly touchesFiles?: boolean
  readonly touchesPrograms?: boolean
  /** Column globs: values of these are copied to another place. */
  readonly launders?: OneOrMany<string>
  readonly time?: OneOrMany<TimeWindow>
  /** Holds when this does not. */
  readonly not?: Match
}

/** The list behind a {@link OneOrMany}. */
export function many<T>(value: OneOrMany<T> | undefined): readonly T[] {
  if (value === undefined) return []
  return isMany(value) ? value : [value]
}

function isMany<T>(value: OneOrMany<T>): value is readonly T[] {
  return Array.isArray(value)
}
