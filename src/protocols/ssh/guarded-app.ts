import type { Denial, EnvironmentVariable, Obligations, Side } from '../../core/index.js'
import type { ChannelApp } from './channel-app.js'
import { type ChannelHost, INTERRUPTED } from './channel-host.js'
import type { Flow } from './flow.js'
import { createGuardedTerminal, type GuardedTerminal, type GuardedTerminalEvent } from './line/index.js'

const ESCALATE_MS = 1_000

export interface GuardedAppOptions {
  readonly host: ChannelHost
  readonly channelId: number
  readonly columns: number
  readonly environment: readonly EnvironmentVariable[]
  readonly allowsRawTerminal: boolean
  readonly toUpstream: Flow
  readonly toDownstream: Flow
  /** What the target says from here on is this line's output. */
  lineBegins(commandId: number, obligations: Obligations): void
  /** What the client gets to see, for the record. */
  shown(bytes: Buffer): void
  hangUp(denial: Denial): void
}

/** An interactive shell whose lines are edited here, and judged one by one. */
export class GuardedApp implements ChannelApp {
  readonly #options: GuardedAppOptions
  readonly #terminal: GuardedTerminal
  /** Command ids by the terminal's line ids: one waits at a time. */
  #waiting: { readonly lineId: number; readonly commandId: number } | undefined
  #isOver = false

  constructor(options: GuardedAppOptions) {
    this.#options = options
    this.#terminal = createGuardedTerminal({
      columns: options.columns,
      isIncomplete: goesOn,
      allowsRawTerminal: options.allowsRawTerminal,
    })
    this.#pump()
  }

  fromClient(bytes: Buffer): void {
    if (this.#isOver) return
    this.#terminal.receive(bytes)
    this.#pump()
  }

  fromTarget(bytes: Buffer): void {
    if (this.#isOver) return
    this.#terminal.output(bytes)
    this.#pump()
  }

  ended(side: Side): void {
    if (this.#isOver) return
    if (side === 'downstream') {
      this.#options.toUpstream.eof()
      return
    }
    this.#isOver = true
    this.#terminal.end()
    this.#pump()
    this.#options.toDownstream.eof()
  }

  abandon(): void {
    this.#isOver = true
    if (this.#waiting !== undefined) this.#options.host.withdraw(this.#waiting.commandId)
  }

  resized(columns: number): void {
    this.#terminal.resize(columns)
    this.#pump()
  }

  wake(): void {
    if (this.#isOver || !this.#terminal.isRefusingProgram) return
    this.#terminal.escalate()
    this.#pump()
    if (this.#terminal.isRefusingProgram) this.#escalateLater()
  }

  #escalateLater(): void {
    this.#options.host.wakeLater(this.#options.channelId, 'escalate', ESCALATE_MS)
  }

  #pump(): void {
    const { toUpstream } = this.#options
    for (let event = this.#terminal.next(); event !== undefined; event = this.#terminal.next()) this.#handle(event)
    toUpstream.isPaused = !this.#terminal.wantsInput
    toUpstream.grant()
  }

  #handle(event: GuardedTerminalEvent): void {
    const { host, toUpstream, toDownstream } = this.#options
    switch (event.type) {
      case 'toClient': {
        const bytes = Buffer.from(event.bytes)
        this.#options.shown(bytes)
        toDownstream.data(0, bytes)
        return
      }
      case 'toUpstream':
        toUpstream.data(0, Buffer.from(event.bytes))
        return
      case 'line':
        this.#judge(event.lineId, event.text)
        return
      case 'withdraw':
        if (this.#waiting?.lineId === event.lineId) host.withdraw(this.#waiting.commandId)
        return
      case 'refused':
        host.refused('line', event.denial)
        return
      case 'secretLine':
        if (!event.isSent) {
          host.refused('line', { reason: 'unsupported', message: 'a line at a prompt for a secret was not sent' })
        }
        return
      case 'rawProgram':
        if (!event.isAllowed) {
          host.refused('program', { reason: 'rule', message: 'a program that takes the whole terminal is not allowed' })
          this.#escalateLater()
        }
        return
      case 'rawProgramEnded':
        return
      case 'hangUp':
        this.#isOver = true
        this.#options.hangUp(event.denial)
        return
    }
  }

  #judge(lineId: number, text: string): void {
    const { host, channelId, environment } = this.#options
    const facts = host.shellAnalyzer.analyze(text, { isInteractive: true })
    const commandId = host.judge(
      (id) => ({
        id,
        protocol: 'ssh',
        channelId,
        kind: 'shell',
        via: 'line',
        text,
        facts,
        environment,
        hasTerminal: true,
      }),
      {
        permit: (obligations) => {
          this.#waiting = undefined
          if (this.#isOver) {
            host.answer(commandId, INTERRUPTED)
            return
          }
          this.#options.lineBegins(commandId, obligations)
          const allowsRawTerminal = obligations.allowsRawTerminal ?? this.#options.allowsRawTerminal
          this.#terminal.permit(lineId, { allowsRawTerminal })
          this.#pump()
        },
        refuse: (denial) => {
          this.#waiting = undefined
          if (this.#isOver) return
          this.#terminal.refuse(lineId, denial)
          this.#pump()
        },
        inform: (text) => {
          if (this.#isOver) return
          this.#terminal.inform(lineId, text)
          this.#pump()
        },
      },
    )
    this.#waiting = { lineId, commandId }
  }
}

/**
 * Whether a shell would join the next line to this one: it ends in a backslash that nothing quotes. Judged one by one, `to\`
 * and `uch file` would be harmless. Where a shell would not, as in a comment, two lines are judged as one, and sent as two.
 */
function goesOn(text: string): boolean {
  let backslashes = 0
  while (text[text.length - 1 - backslashes] === '\\') backslashes++
  return backslashes % 2 === 1
}
