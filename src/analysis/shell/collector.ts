import type {
  Certainty,
  FileAccess,
  FileAccessMode,
  NetworkTarget,
  ShellFacts,
  ShellHazard,
  ShellSimpleCommand,
} from '../../core/index.js'
import { ShellProblem } from './problem.js'

export interface CollectorLimits {
  readonly maxCommands: number
  /** Paths, network targets and words, all together. */
  readonly maxEntries: number
}

const MODES: readonly FileAccessMode[] = ['read', 'write', 'create', 'delete', 'execute', 'metadata', 'list']

/** Gathers what a walk over a line finds. */
export class Collector {
  commands: ShellSimpleCommand[] = []
  private readonly files = new Map<
    string,
    { path: string; modes: Set<FileAccessMode>; isRecursive: boolean; isExact: boolean }
  >()
  private readonly network = new Map<string, NetworkTarget>()
  readonly hazards = new Set<ShellHazard>()
  isPrivileged = false
  /** A function, or a variable that means something to the shell, outlasts the line. */
  changesLaterLines = false
  private certainty: Certainty = 'exact'
  private problem: string | undefined
  private entries = 0
  /** Commands so far that fetch something from the network. */
  fetches = 0
  private readonly limits: CollectorLimits

  constructor(limits: CollectorLimits) {
    this.limits = limits
  }

  command(command: ShellSimpleCommand): void {
    this.count(command.arguments.length + command.operands.length)
    if (this.commands.length >= this.limits.maxCommands) throw new ShellProblem('the line has too many commands')
    this.commands.push(command)
    if (command.certainty !== 'exact') this.conservative()
  }

  file(path: string, modes: readonly FileAccessMode[], isRecursive: boolean, isExact: boolean): void {
    const key = `${isExact ? '=' : '~'}${path}`
    const known = this.files.get(key)
    if (known === undefined) {
      this.count(1)
      this.files.set(key, { path, modes: new Set(modes), isRecursive, isExact })
      return
    }
    for (const mode of modes) known.modes.add(mode)
    known.isRecursive ||= isRecursive
  }

  target(target: NetworkTarget): void {
    const key = `${target.direction} ${target.host ?? ''} ${target.port ?? ''}`
    if (this.network.has(key)) return
    this.count(1)
    this.network.set(key, target)
  }

  conservative(): void {
    if (this.certainty === 'exact') this.certainty = 'conservative'
  }

  unparsed(problem: string): void {
    this.certainty = 'unparsed'
    this.problem ??= problem
  }

  facts(): ShellFacts {
    return {
      certainty: this.certainty,
      ...(this.problem === undefined ? {} : { problem: this.problem }),
      commands: this.commands,
      files: [...this.files.values()].map(({ path, modes, isRecursive, isExact }): FileAccess => {
        return { path, modes: MODES.filter((mode) => modes.has(mode)), isRecursive, isExact }
      }),
      network: [...this.network.values()],
      isPrivileged: this.isPrivileged,
      hazards: [...this.hazards].sort(),
    }
  }

  /** Work that leaves no trace counts too. */
  count(entries: number): void {
    this.entries += entries
    if (this.entries > this.limits.maxEntries) throw new ShellProblem('the line has too many words')
  }
}
