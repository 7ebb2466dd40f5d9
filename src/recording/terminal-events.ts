import type { ReplayEntry } from './replay.js'

/** Which terminal of a session is meant. Neither: that of the first command with a size, input or output. */
export interface TerminalSelection {
  /** One command: for an interactive shell with all the lines of its channel. */
  readonly commandId?: number
  /** Every command of one channel. */
  readonly channelId?: number
}

/** What happened in one terminal, or in the streams of a command without one. */
export type TerminalEvent =
  | {
      readonly code: 'start'
      readonly atUnixMs: number
      readonly text: string | undefined
      readonly hasTerminal: boolean
    }
  /** Output and input, exactly as recorded. */
  | { readonly code: 'o' | 'i'; readonly atUnixMs: number; readonly channel: string; readonly bytes: Buffer }
  | { readonly code: 'r'; readonly atUnixMs: number; readonly columns: number; readonly rows: number }
  /** A command line that was decided on or made out. */
  | { readonly code: 'm'; readonly atUnixMs: number; readonly label: string }
  | { readonly code: 'x'; readonly atUnixMs: number; readonly exitCode: number }

/** Commands that are remembered: more do not run at once in one session. */
const MAX_REMEMBERED = 1_024

const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
}

type Line = Readonly<Record<string, unknown>>

interface KnownCommand {
  readonly id: number
  readonly atUnixMs: number
  readonly kind: unknown
  readonly via: unknown
  readonly text: string | undefined
  readonly hasTerminal: boolean
  readonly channelId: number | undefined
}

/**
 * Picks one terminal's events out of a recording. Stops at the first line that does not verify: what somebody changed is not shown as if
 * it had happened.
 */
export class TerminalEventReader {
  readonly #selection: TerminalSelection
  readonly #commands = new Map<number, KnownCommand>()
  /** Of commands that ended before any of their output was read: answers may stand in their command's line. */
  readonly #answers = new Map<number, { readonly answer: Line; readonly atUnixMs: number }>()
  #main: KnownCommand | undefined
  #exit: { readonly atUnixMs: number; readonly exitCode: number } | undefined
  #lastAtUnixMs = 0
  #isOver = false

  constructor(selection: TerminalSelection = {}) {
    this.#selection = selection
  }

  /** The command whose terminal it is, once it is known. */
  get commandId(): number | undefined {
    return this.#main?.id
  }

  push(entry: ReplayEntry): readonly TerminalEvent[] {
    const line = entry.event
    if (!entry.isVerified || line === undefined) this.#isOver = true
    if (this.#isOver || line === undefined) return []
    switch (line['type']) {
      case 'command':
        return this.#command(line)
      case 'answer':
        this.#answer(numberOf(line['commandId']), line, numberOf(line['at']))
        return []
      case 'output':
        return this.#of(line, (atUnixMs) => ({
          code: 'o',
          atUnixMs,
          channel: String(line['channel']),
          bytes: bytesOf(line),
        }))
      case 'input':
        if (line['isHidden'] === true) return []
        return this.#of(line, (atUnixMs) => ({ code: 'i', atUnixMs, channel: 'input', bytes: bytesOf(line) }))
      case 'resize':
        return this.#of(line, (atUnixMs) => ({
          code: 'r',
          atUnixMs,
          columns: numberOf(line['columns']),
          rows: numberOf(line['rows']),
        }))
      case 'detected':
        return this.#of(line, (atUnixMs) => ({ code: 'm', atUnixMs, label: String(line['text']) }))
      default:
        return []
    }
  }

  /** How it ended, when that is known. Nothing follows. */
  finish(): readonly TerminalEvent[] {
    const exit = this.#exit
    if (exit === undefined) return []
    return [{ code: 'x', atUnixMs: this.#ordered(exit.atUnixMs), exitCode: exit.exitCode }]
  }

  #command(line: Line): readonly TerminalEvent[] {
    const channelId = line['channelId']
    const command: KnownCommand = {
      id: numberOf(line['id']),
      atUnixMs: numberOf(line['at']),
      kind: line['kind'],
      via: line['via'],
      text: typeof line['text'] === 'string' ? line['text'] : undefined,
      hasTerminal: line['hasTerminal'] === true || line['kind'] === 'terminal',
      channelId: typeof channelId === 'number' ? channelId : undefined,
    }
    if (this.#main === undefined || this.#main.channelId === command.channelId)
      remember(this.#commands, command.id, command)
    const events: TerminalEvent[] = []
    if (this.#main === undefined && this.#isAskedFor(command) && line['permitted'] === true) {
      events.push(this.#begin(command))
    } else if (this.#main !== undefined && command.via === 'line' && this.#isSelected(command.id)) {
      const label = line['permitted'] === true ? (command.text ?? '') : `REFUSED: ${command.text ?? ''}`
      events.push({ code: 'm', atUnixMs: this.#ordered(command.atUnixMs), label })
    }
    const { answer } = line
    if (isLine(answer)) this.#answer(command.id, answer, numberOf(answer['at']))
    return events
  }

  #answer(commandId: number, answer: Line, atUnixMs: number): void {
    if (this.#main === undefined) remember(this.#answers, commandId, { answer, atUnixMs })
    if (this.#main?.id !== commandId) return
    const exitCode = exitCodeOf(answer)
    if (exitCode !== undefined) this.#exit = { atUnixMs, exitCode }
  }

  #of(line: Line, make: (atUnixMs: number) => TerminalEvent): readonly TerminalEvent[] {
    const commandId = numberOf(line['commandId'])
    const events: TerminalEvent[] = []
    if (this.#main === undefined) {
      const command = this.#commands.get(commandId) ?? unknownCommand(commandId, numberOf(line['at']))
      if (!this.#isAskedFor(command) && !this.#isFirst(command)) return []
      events.push(this.#begin(command))
    }
    if (!this.#isSelected(commandId)) return []
    events.push(make(this.#ordered(numberOf(line['at']))))
    return events
  }

  #begin(command: KnownCommand): TerminalEvent {
    this.#main = command
    const known = this.#answers.get(command.id)
    this.#answers.clear()
    if (known !== undefined) this.#answer(command.id, known.answer, known.atUnixMs)
    const { text, hasTerminal } = command
    return { code: 'start', atUnixMs: this.#ordered(command.atUnixMs), text, hasTerminal }
  }

  /** Nothing was asked for: it is the first that something is known of. */
  #isFirst({ kind }: KnownCommand): boolean {
    const { commandId, channelId } = this.#selection
    const hasStreams = kind === undefined || kind === 'shell' || kind === 'terminal'
    return commandId === undefined && channelId === undefined && hasStreams
  }

  #isAskedFor(command: KnownCommand): boolean {
    const { commandId, channelId } = this.#selection
    if (commandId !== undefined) return command.id === commandId
    // Requests of a channel, such as `env`, come before what runs in it.
    if (channelId !== undefined) return command.channelId === channelId && command.kind !== 'ssh-request'
    return false
  }

  #isSelected(commandId: number): boolean {
    const main = this.#main
    if (main === undefined) return false
    if (commandId === main.id) return true
    const isOne = this.#selection.commandId !== undefined && main.kind !== 'terminal'
    return !isOne && main.channelId !== undefined && this.#commands.get(commandId)?.channelId === main.channelId
  }

  /** Time does not run backwards for who watches, whatever the clock did. */
  #ordered(atUnixMs: number): number {
    this.#lastAtUnixMs = Math.max(this.#lastAtUnixMs, atUnixMs)
    return this.#lastAtUnixMs
  }
}

/** Forgets the oldest where there are too many. */
function remember<T>(map: Map<number, T>, id: number, value: T): void {
  const oldest = map.size >= MAX_REMEMBERED ? map.keys().next().value : undefined
  if (oldest !== undefined) map.delete(oldest)
  map.set(id, value)
}

/** Its line stands in an earlier segment. */
function unknownCommand(id: number, atUnixMs: number): KnownCommand {
  return { id, atUnixMs, kind: undefined, via: undefined, text: undefined, hasTerminal: true, channelId: undefined }
}

function exitCodeOf(answer: Line): number | undefined {
  const { exitCode, signal } = answer
  if (typeof exitCode === 'number') return exitCode
  // As a shell would say it.
  return typeof signal === 'string' ? 128 + (SIGNALS[signal.replace(/^SIG/, '')] ?? 0) : undefined
}

function bytesOf(line: Line): Buffer {
  const { utf8, base64 } = line
  if (typeof utf8 === 'string') return Buffer.from(utf8, 'utf8')
  return Buffer.from(typeof base64 === 'string' ? base64 : '', 'base64')
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function isLine(value: unknown): value is Line {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
