import type { Command, FileAccess, NetworkTarget, ShellFacts, ShellSimpleCommand } from '../core/index.js'
import { normalizeHost } from './host.js'
import { type PathBase, type ReadPath, type ReadPathOptions, readPath } from './path-pattern.js'

/** What matchers look at of a command line, an operation on files, a forwarded port or a request of a channel. */
export interface ChannelView {
  /** Undefined for other kinds, and for a line without any command. */
  readonly simple: ShellSimpleCommand | undefined
  /** Undefined for other kinds. */
  readonly line: ShellFacts | undefined
  /** Whether the facts may be relied on by a permission. */
  readonly isExact: boolean
  /** Only running the line would tell what runs: a prohibition must take it for anything. */
  readonly mayBeAnything: boolean
  readonly files: readonly TouchedPath[]
  readonly targets: readonly Target[]
  readonly operation: string | undefined
  /** The protocol's name of what is asked for. */
  readonly request: string | undefined
  readonly name: string | undefined
  readonly hasTerminal: boolean
  readonly environment: readonly string[]
}

export interface TouchedPath extends ReadPath {
  readonly modes: readonly string[]
}

export interface Target {
  /** Undefined: not known, or all. */
  readonly host: string | undefined
  readonly port: number | undefined
}

const NOTHING: ChannelView = {
  simple: undefined,
  line: undefined,
  isExact: true,
  mayBeAnything: false,
  files: [],
  targets: [],
  operation: undefined,
  request: undefined,
  name: undefined,
  hasTerminal: false,
  environment: [],
}

/** Names move with all that is below them, and a link opens another way to it. */
const MOVES = new Set(['rename', 'symlink', 'hardlink', 'copy'])

/**
 * One view per simple command of a line, one in all for other kinds. Undefined for kinds that have none, and for
 * command lines that could not be parsed.
 */
export function channelViewsOf(command: Command): readonly ChannelView[] | undefined {
  switch (command.kind) {
    case 'shell':
      return isUnparsedLine(command.facts) ? undefined : shellViews(command)
    case 'terminal':
      return [
        {
          ...NOTHING,
          request: command.via,
          hasTerminal: command.hasTerminal,
          environment: command.environment.map(({ name }) => name),
        },
      ]
    case 'sftp': {
      const options = { base: 'home', showsUnknown: false, isMoved: MOVES.has(command.operation) } as const
      const files = command.files.map((access) => touched(access, options))
      return [{ ...NOTHING, operation: command.operation, files }]
    }
    case 'port-forward': {
      const { socketPath, host, port } = command
      const socket: FileAccess[] =
        socketPath === undefined
          ? []
          : [{ path: socketPath, modes: ['read', 'write'], isRecursive: false, isExact: true }]
      return [
        {
          ...NOTHING,
          request: command.via,
          files: socket.map((access) => touched(access, { base: 'home', showsUnknown: false })),
          // Port 0 leaves the choice to the target.
          targets: socketPath === undefined ? [targetOf({ host, port })] : [],
        },
      ]
    }
    case 'ssh-request':
      return [{ ...NOTHING, request: command.via, name: command.name }]
    default:
      return undefined
  }
}

/** Whether nothing of the facts of a command line may be used. */
export function isUnparsedLine({ certainty, commands }: ShellFacts): boolean {
  return certainty === 'unparsed' || commands.some((simple) => simple.certainty === 'unparsed')
}

function shellViews({
  facts,
  via,
  hasTerminal,
  environment,
}: Extract<Command, { kind: 'shell' }>): readonly ChannelView[] {
  // A line of a terminal begins where the lines before it led to.
  const base: PathBase = via === 'exec' ? 'home' : 'unknown'
  const files = facts.files.map((access) => touched(access, { base, showsUnknown: true }))
  const targets = facts.network.map(targetOf)
  const given = environment.map(({ name }) => name)
  const isExact = facts.certainty === 'exact'
  const view = { ...NOTHING, line: facts, isExact, files, targets, hasTerminal, environment: given }
  if (facts.commands.length === 0) return [view]
  return facts.commands.map((simple) => ({
    ...view,
    simple,
    isExact: isExact && simple.certainty === 'exact',
    // A command of assignments alone has no word, and runs nothing.
    mayBeAnything: simple.program === undefined && simple.word !== '',
    environment:
      simple.assignments.length === 0 ? given : [...given, ...simple.assignments.map((assignment) => assignment.name)],
  }))
}

function touched(access: FileAccess, options: ReadPathOptions): TouchedPath {
  return { ...readPath(access, options), modes: access.modes }
}

function targetOf({
  host,
  port,
}: { readonly host?: string | undefined; readonly port?: number | undefined } | NetworkTarget): Target {
  return { host: normalizeHost(host), port: port === 0 ? undefined : port }
}
