import type { Command, EnvironmentVariable, PolicyOutcome, ShellFacts } from '../core/index.js'
import { textCommitment, type CommandDetail, type CommandEvent } from '../recording/index.js'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type OtherCommand = Exclude<Command, { readonly kind: 'sql' }>

/** What is put on record of a command that is not SQL. */
export interface OtherEventInput {
  readonly command: OtherCommand
  readonly verdict: PolicyOutcome
  readonly permitted: boolean
  readonly atUnixMs: number
  /** Masks a text that goes on record. */
  readonly mask: (text: string) => string
}

export function otherCommandEvent(input: OtherEventInput): Writable<CommandEvent> {
  const { command, verdict, permitted, atUnixMs, mask } = input
  // A plug-in's kind need not have the text and the word that ours have.
  const { text, via }: { readonly text?: unknown; readonly via?: unknown } = command
  const detail = detailOf(command, mask)
  return {
    type: 'command',
    atUnixMs,
    id: command.id,
    kind: command.kind,
    ...(typeof via === 'string' ? { via: mask(via) } : {}),
    text: typeof text === 'string' ? mask(text) : '',
    ...(detail === undefined ? {} : { detail }),
    verdict,
    permitted,
  }
}

/** Commits to what masking took out of the recorded text. Undefined when nothing was. */
export function otherCommitments(
  command: OtherCommand,
  event: CommandEvent,
  sessionKey: Uint8Array,
): Readonly<Record<string, string | number>> | undefined {
  const { text }: { readonly text?: unknown } = command
  if (typeof text !== 'string' || event.text === text) return undefined
  return { commandId: command.id, textCommitment: textCommitment(text, sessionKey) }
}

function detailOf(command: OtherCommand, mask: (text: string) => string): CommandDetail | undefined {
  const channel = command.channelId === undefined ? {} : { channelId: command.channelId }
  switch (command.kind) {
    case 'shell':
      return { ...channel, ...terminalDetail(command, mask), facts: maskedFacts(command.facts, mask) }
    case 'terminal':
      return { ...channel, ...terminalDetail(command, mask) }
    case 'sftp':
      return {
        ...channel,
        operation: command.operation,
        ...(command.extension === undefined ? {} : { extension: mask(command.extension) }),
        files: maskedFiles(command.files, mask),
      }
    case 'port-forward':
      return {
        ...channel,
        direction: command.direction,
        ...(command.host === undefined ? {} : { host: mask(command.host) }),
        ...(command.port === undefined ? {} : { port: command.port }),
        ...(command.socketPath === undefined ? {} : { socketPath: mask(command.socketPath) }),
      }
    case 'ssh-request':
      return { ...channel, name: mask(command.name) }
    default:
      command satisfies never
      return undefined
  }
}

function terminalDetail(
  command: { readonly environment: readonly EnvironmentVariable[]; readonly hasTerminal: boolean },
  mask: (text: string) => string,
): CommandDetail {
  return { hasTerminal: command.hasTerminal, environment: command.environment.map(({ name }) => mask(name)) }
}

function maskedFacts(facts: ShellFacts, mask: (text: string) => string): ShellFacts {
  return {
    ...facts,
    files: maskedFiles(facts.files, mask),
    network: facts.network.map((target) =>
      target.host === undefined ? target : { ...target, host: mask(target.host) },
    ),
  }
}

function maskedFiles(files: ShellFacts['files'], mask: (text: string) => string): ShellFacts['files'] {
  return files.map((file) => ({ ...file, path: mask(file.path) }))
}
