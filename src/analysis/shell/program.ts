import type { FileAccessMode, NetworkTarget, ShellHazard } from '../../core/index.js'
import { type OptionStyle, type OptionTable, type OptionValue, optionTable, type WordRole } from './options.js'
import type { ResolvedPath } from './paths.js'
import type { WordValue } from './word-value.js'

/** What a command reads from its standard input, as far as the line tells. */
export interface Input {
  /** All of it, where the line spells it out. */
  readonly text?: string | undefined
  /** Some of it comes from the network. */
  readonly fetches: boolean
  /** Some of it comes from a file, or a command that reads one. */
  readonly reads: boolean
}

/** One command about to be judged, with its options read. */
export interface Call {
  readonly program: string
  /** All words behind the program. */
  readonly words: readonly WordValue[]
  readonly operands: readonly WordValue[]
  readonly values: readonly OptionValue[]
  /** Undefined: the terminal, or whatever the line itself is fed with. */
  readonly input: Input | undefined
  readonly isRemote: boolean
  /** Whether an option is given, by the name it goes by. */
  has(...names: readonly string[]): boolean
  /** The last value of an option. */
  value(name: string): WordValue | undefined
}

export interface RunOptions {
  readonly isRemote?: boolean
  readonly isPrivileged?: boolean
  /** Words of the command are not all there: more come when it runs. */
  readonly isOpen?: boolean
  /** What its shell or program knows as its directory is not ours. */
  readonly isElsewhere?: boolean
  /** Runs at the directory instead. */
  readonly directory?: WordValue
  /** Also say the command itself, as with `find -exec`. */
  readonly keepsCaller?: boolean
}

/** Where what is known about a program says what this call of it does. */
export interface Report {
  /** A path that is touched. Everything that follows from the path itself (credentials, disks) is seen to. Moved: it is elsewhere then. */
  file(word: WordValue, modes: readonly FileAccessMode[], isRecursive?: boolean, isMoved?: boolean): void
  network(target: NetworkTarget): void
  hazard(...hazards: readonly ShellHazard[]): void
  privileged(): void
  /** The command is not fully known: it may do less or other than is said. */
  conservative(): void
  /** It runs something that only running it would tell: nothing said about the line is complete. */
  unknown(problem: string): void
  /** The rest of the words is a command of its own, and this one only its wrapper. */
  run(words: readonly WordValue[], wrapper: string, options?: RunOptions): void
  /** The word is a text for a shell, and this command only its wrapper. */
  script(word: WordValue, wrapper: string, options?: RunOptions): void
  /** What options and operands are, for programs that have them in a way of their own. */
  describe(flags: Iterable<string>, operands: readonly WordValue[]): void
  /** Where the paths of a word lead. */
  resolve(word: WordValue): readonly ResolvedPath[]
  /** It fetches from the network what it writes to its output. */
  fetches(): void
  /** It fetches something into this file. */
  downloads(word: WordValue): void
  /** It runs what is in this file. */
  executes(word: WordValue): void
  /** It gives a shell what comes from the network. */
  shellOnSocket(): void
  /** Later commands are somewhere else; undefined: at home. */
  changeDirectory(word: WordValue | undefined): void
  alias(name: string, value: WordValue): void
  /** Values are taken for expressions. */
  calculates(): void
  /** Names set for the rest of the line, or of the command. */
  assign(name: string, value: WordValue | undefined): void
}

/** What is known about a program. */
export interface ProgramSpec {
  readonly options: OptionTable
  readonly style: OptionStyle
  /** What operands are. Undefined: not files. */
  readonly operands: WordRole | undefined
  /** Options under which operands count for everything below them. */
  readonly recursive: readonly string[]
  readonly isAlwaysRecursive: boolean
  readonly hazards: readonly ShellHazard[]
  readonly inspect: ((call: Call, report: Report) => void) | undefined
}

export interface ProgramOptions {
  readonly options?: string
  readonly style?: OptionStyle
  readonly operands?: WordRole
  readonly recursive?: readonly string[] | true
  readonly hazards?: readonly ShellHazard[]
  readonly inspect?: (call: Call, report: Report) => void
}

export function program(options: ProgramOptions = {}): ProgramSpec {
  return {
    options: optionTable(options.options ?? ''),
    style: options.style ?? 'gnu',
    operands: options.operands,
    recursive: options.recursive === true || options.recursive === undefined ? [] : options.recursive,
    isAlwaysRecursive: options.recursive === true,
    hazards: options.hazards ?? [],
    inspect: options.inspect,
  }
}

export type ProgramTable = Readonly<Record<string, ProgramSpec>>

/** The same about several programs. */
export function programs(names: string, spec: ProgramSpec): ProgramTable {
  return Object.fromEntries(names.split(' ').map((name) => [name, spec]))
}
