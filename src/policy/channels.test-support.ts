import type {
  CommandKinds,
  DecisionContext,
  FileAccess,
  FileAccessMode,
  Resource,
  SftpOperation,
  ShellFacts,
  ShellSimpleCommand,
} from '../core/index.js'
import { AGENT, NOW } from './facts.test-support.js'

/** Contexts of shells, files and channels for tests, written the short way. */

export const WEB: Resource = { name: 'web-1', protocol: 'ssh', tags: { env: 'prod' } }

/** `simple('rm recursive force')`: the first word is the program, the others its flags. */
export function simple(words: string, options: Partial<ShellSimpleCommand> = {}): ShellSimpleCommand {
  const [word = '', ...flags] = words.split(' ')
  return {
    program: word.slice(word.lastIndexOf('/') + 1),
    word,
    arguments: [],
    flags,
    operands: [],
    assignments: [],
    wrappers: [],
    isRemote: false,
    certainty: 'exact',
    ...options,
  }
}

/** A program that only running the line would tell: `$X`. */
export const ANY_PROGRAM: ShellSimpleCommand = simple('$X', { program: undefined, certainty: 'conservative' })

export function file(path: string, ...modes: readonly FileAccessMode[]): FileAccess {
  return { path, modes: modes.length === 0 ? ['read'] : modes, isRecursive: false, isExact: true }
}

export function tree(path: string, ...modes: readonly FileAccessMode[]): FileAccess {
  return { ...file(path, ...modes), isRecursive: true }
}

export function inexact(path: string, ...modes: readonly FileAccessMode[]): FileAccess {
  return { ...file(path, ...modes), isExact: false }
}

export function line(
  commands: string | readonly (string | ShellSimpleCommand)[],
  options: Partial<ShellFacts> = {},
): ShellFacts {
  const list = (typeof commands === 'string' ? [commands] : commands).map((each) =>
    typeof each === 'string' ? simple(each) : each,
  )
  return {
    certainty: list.every(({ certainty }) => certainty === 'exact') ? 'exact' : 'conservative',
    commands: list,
    files: [],
    network: [],
    isPrivileged: false,
    hazards: [],
    ...options,
  }
}

export const UNPARSED_LINE: ShellFacts = line([], { certainty: 'unparsed', problem: 'no closing quote' })

type Fields<K extends keyof CommandKinds> = Omit<CommandKinds[K], 'id' | 'kind' | 'protocol'>

function contextOf(command: CommandKinds[keyof CommandKinds]): DecisionContext {
  return { command, subject: AGENT, resource: WEB, session: { id: 's1', startedAtUnixMs: NOW }, nowUnixMs: NOW }
}

export function shell(facts: ShellFacts, options: Partial<Fields<'shell'>> = {}): DecisionContext {
  return contextOf({
    id: 1,
    kind: 'shell',
    protocol: 'ssh',
    via: 'exec',
    text: facts.commands.map(({ word, flags }) => [word, ...flags].join(' ')).join('; '),
    facts,
    environment: [],
    hasTerminal: false,
    ...options,
  })
}

export function terminal(options: Partial<Fields<'terminal'>> = {}): DecisionContext {
  return contextOf({
    id: 1,
    kind: 'terminal',
    protocol: 'ssh',
    via: 'shell',
    text: 'an interactive shell',
    environment: [],
    hasTerminal: true,
    ...options,
  })
}

export function sftp(operation: SftpOperation, ...files: readonly FileAccess[]): DecisionContext {
  const text = `${operation} ${files.map(({ path }) => path).join(' ')}`
  return contextOf({ id: 1, kind: 'sftp', protocol: 'ssh', via: 'sftp', operation, text, files })
}

export function forward(via: string, options: Partial<Fields<'port-forward'>> = {}): DecisionContext {
  const direction = via.startsWith('direct-') ? 'local' : 'remote'
  return contextOf({ id: 1, kind: 'port-forward', protocol: 'ssh', via, direction, text: via, ...options })
}

export function request(via: string, name = ''): DecisionContext {
  return contextOf({ id: 1, kind: 'ssh-request', protocol: 'ssh', via, name, text: `${via} ${name}`.trim() })
}
