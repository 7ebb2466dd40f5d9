import {
  type Command,
  type CommandBase,
  type Denial,
  type EnvironmentVariable,
  Fifo,
  type Obligations,
  printableText,
  SallyportError,
  type ShellFacts,
  type Side,
  type TerminalSize,
  type TextMasker,
} from '../../core/index.js'
import { Channel, type Ending, type OpenMessage, type RequestMessage } from './channel.js'
import type { ChannelApp } from './channel-app.js'
import { type ChannelHost, COMPLETED, FAILED, INTERRUPTED, NOT_PERMITTED, UNSUPPORTED } from './channel-host.js'
import { CommandOutput } from './command-output.js'
import type { WakePurpose } from './events.js'
import { FileApp } from './file-app.js'
import { fileProgram, type FileProgram, hidesFileProgram } from './file-program.js'
import { GuardedApp } from './guarded-app.js'
import { type CommandHints, createCommandHints } from './line/index.js'
import { STDERR } from './message-types.js'
import { channelRequest, uint32 } from './messages.js'
import type { FileMachine } from './files/events.js'
import { createScpMachine } from './scp/index.js'
import { createSftpMachine } from './sftp/index.js'
import { denialText, noticeText, REFUSED_EXIT_STATUS } from './refusal.js'
import { ReplyOrder, type ReplySlot } from './reply-order.js'
import {
  exitSignal,
  guardedTerminalRequest,
  readBreak,
  readCommand,
  readEnvironment,
  readExitSignal,
  readExitStatus,
  readName,
  readTerminal,
  readWindowChange,
  readX11,
  resizedTerminalRequest,
  sshString,
} from './requests.js'

const PROTOCOL = 'ssh'
const CONTROL = /[\x00-\x1f\x7f]/
const INTERRUPT = 0x03 // Ctrl-C, where no program has changed it

const UNREADABLE: Denial = { reason: 'unparsed', message: 'the command is not one that can be read' }

interface WaitingRequest {
  readonly name: string
  readonly data: Buffer
  readonly slot: ReplySlot
}

/** What a start request asks for. */
interface Start {
  /** What the target is asked: the client's request, or what is run in its place. */
  readonly name: string
  readonly data: Buffer
  readonly command: (base: CommandBase) => Command
  /** What speaks in the channel, where it is more than a stream of bytes. */
  readonly files: FileProgram | undefined
}

/**
 * A session channel: where commands, shells and subsystems run (RFC 4254 section 6).
 *
 * Theory of operation. Requests of the client are taken one after the other: while one is being decided on, later ones wait
 * in `#waiting`, and data in the flow, which is blocked until something runs. What a request is judged as:
 *
 * - `env`, `pty-req`, `x11-req`, `auth-agent-req@openssh.com`, `signal`, `break`: an `ssh-request` command of that name.
 * - `exec`: a `shell` command; `shell`: a `terminal` command; `subsystem`: an `ssh-request`. One of these per channel.
 * - `window-change` follows the permit of its `pty-req`: it carries nothing but numbers. The target is asked for a terminal
 *   only along with what runs in it, since a guarded shell needs one that does not echo.
 * - Anything else is refused here.
 *
 * A refused start is answered as a program that ran and failed: the request succeeds, the reason goes to stderr, the exit
 * status is 126, and the channel closes. Other refused requests fail. The target hears of neither.
 *
 * While a start waits, its client is told on stderr, and may give up: by closing, by a signal, or by Ctrl-C on a terminal.
 */
export class SessionChannel extends Channel {
  readonly #replies: ReplyOrder
  readonly #waiting = new Fifo<WaitingRequest>()
  readonly #environment: EnvironmentVariable[] = []
  #environmentBytes = 0
  /** The client's `pty-req`, once permitted. */
  #terminal: { data: Buffer; size: TerminalSize } | undefined
  #app: ChannelApp | undefined
  #hints: CommandHints | undefined
  /** The permitted line that runs in a guarded shell. */
  #line: CommandOutput | undefined
  #lineId = 0
  #stage: 'preparing' | 'started' | 'over' = 'preparing'
  /** The request that is being decided on. */
  #judging: { readonly commandId: number; readonly isStart: boolean } | undefined
  #startSlot: ReplySlot | undefined
  #exit: Ending | undefined
  /** The client has been told the end by us. */
  #hasFinished = false

  constructor(id: number, open: OpenMessage, host: ChannelHost) {
    super(id, open, 'downstream', host)
    this.#replies = new ReplyOrder((isSuccess) => this.replyTo('downstream', isSuccess))
  }

  get #hasTerminal(): boolean {
    return this.#terminal !== undefined
  }

  get #lineEnd(): '\n' | '\r\n' {
    return this.#hasTerminal ? '\r\n' : '\n'
  }

  // Requests of the client

  override request(from: Side, message: RequestMessage): void {
    if (from === 'upstream') {
      this.#targetRequest(message)
      return
    }
    const slot = this.#replies.add(message.wantsReply)
    if (this.#stage === 'over' || this.toUpstream.isCloseReceived) {
      this.#replies.settle(slot, false)
      return
    }
    if (this.#judging?.isStart === true && message.name === 'signal') {
      // What it would be sent to does not run yet, and now never will.
      this.host.withdraw(this.#judging.commandId)
    }
    if (this.#replies.length > this.host.limits.maxWaitingRequests) {
      throw new SallyportError('limit_exceeded', 'too many requests wait on a channel')
    }
    this.#waiting.push({ name: message.name, data: message.data, slot })
    this.#takeNext()
  }

  #takeNext(): void {
    while (this.#judging === undefined) {
      const request = this.#waiting.shift()
      if (request === undefined) return
      if (this.#stage === 'over') this.#replies.settle(request.slot, false)
      else this.#take(request)
    }
  }

  #take(request: WaitingRequest): void {
    const { name, data, slot } = request
    switch (name) {
      case 'env':
        return this.#takeEnvironment(request)
      case 'pty-req': {
        const { term, columns, rows } = readTerminal(data)
        if (this.#stage !== 'preparing' || this.#hasTerminal) return this.#outOfOrder(request)
        if (!this.host.permissions.allowsPty) return this.#notPermitted(request)
        return this.#judgeRequest(request, term, `pty-req ${printableText(term)}`, (commandId) => {
          this.#terminal = { data, size: { columns, rows } }
          this.#replies.settle(slot, true)
          this.host.answer(commandId, COMPLETED)
          return true
        })
      }
      case 'x11-req': {
        const { protocol } = readX11(data)
        if (this.#stage !== 'preparing') return this.#outOfOrder(request)
        if (!this.host.permissions.allowsX11Forwarding) return this.#notPermitted(request)
        return this.#judgeRequest(request, protocol, `x11-req ${printableText(protocol)}`, (id, obligations) => {
          this.host.allowReverse('x11', id, obligations)
          return false
        })
      }
      case 'auth-agent-req@openssh.com':
        if (data.length > 0) throw malformed(name)
        if (this.#stage !== 'preparing') return this.#outOfOrder(request)
        if (!this.host.permissions.allowsAgentForwarding) return this.#notPermitted(request)
        return this.#judgeRequest(request, '', 'auth-agent-req@openssh.com', (id, obligations) => {
          this.host.allowReverse('auth-agent@openssh.com', id, obligations)
          return false
        })
      case 'exec':
      case 'shell':
      case 'subsystem':
        return this.#takeStart(request)
      case 'window-change':
        return this.#takeWindowChange(request)
      case 'signal': {
        const signal = readName(data, name)
        if (this.#stage !== 'started') return this.#outOfOrder(request)
        return this.#judgeRequest(request, signal, `signal ${signal}`)
      }
      case 'break':
        readBreak(data)
        if (this.#stage !== 'started') return this.#outOfOrder(request)
        return this.#judgeRequest(request, '', 'break')
      case 'eow@openssh.com':
        // The client takes no more output: nothing to decide.
        if (this.#stage === 'started') return this.#forward(request)
        this.#replies.settle(slot, false)
        return
      case 'keepalive@openssh.com':
        // Any answer will do.
        this.#replies.settle(slot, false)
        return
      default:
        this.host.refused(name, UNSUPPORTED(`request \`${name}\``))
        this.#replies.settle(slot, false)
    }
  }

  #takeWindowChange(request: WaitingRequest): void {
    const size = readWindowChange(request.data)
    const terminal = this.#terminal
    if (terminal === undefined) return this.#outOfOrder(request)
    terminal.size = size
    if (this.#stage !== 'started') {
      terminal.data = resizedTerminalRequest(terminal.data, request.data)
      this.#replies.settle(request.slot, true)
      return
    }
    this.#forward(request)
    if (this.running !== undefined) this.host.resized(this.running.id, size)
    this.#app?.resized?.(size.columns)
    this.#hints?.resize(size.columns)
  }

  #notPermitted({ name, slot }: WaitingRequest): void {
    this.host.refused(name, NOT_PERMITTED(name))
    this.#replies.settle(slot, false)
  }

  #outOfOrder({ name, slot }: WaitingRequest): void {
    this.host.refused(name, { reason: 'unsupported', message: `request \`${name}\` is not possible now` })
    this.#replies.settle(slot, false)
  }

  #takeEnvironment(request: WaitingRequest): void {
    const { name, value } = readEnvironment(request.data)
    if (this.#stage !== 'preparing') return this.#outOfOrder(request)
    const { maxEnvironmentVariables, maxEnvironmentBytes } = this.host.limits
    const bytes = this.#environmentBytes + name.length + value.length
    if (this.#environment.length >= maxEnvironmentVariables || bytes > maxEnvironmentBytes) {
      this.host.refused('env', { reason: 'limit', message: 'the environment has grown beyond its limit' })
      this.#replies.settle(request.slot, false)
      return
    }
    this.#judgeRequest(request, name, `env ${printableText(`${name}=${value}`)}`, () => {
      this.#environment.push({ name, value })
      this.#environmentBytes = bytes
      return false
    })
  }

  /** @param permitted what follows from a permit, before the target hears of it; true: it does not */
  #judgeRequest(
    request: WaitingRequest,
    name: string,
    text: string,
    permitted: (commandId: number, obligations: Obligations) => boolean = () => false,
  ): void {
    const commandId = this.host.judge(
      (id) => ({ ...this.#base(id), kind: 'ssh-request', via: request.name, name, text }),
      {
        permit: (obligations) => {
          this.#judging = undefined
          if (!permitted(commandId, obligations)) this.#forward(request, commandId)
          this.#takeNext()
        },
        refuse: () => {
          this.#judging = undefined
          this.#replies.settle(request.slot, false)
          this.#takeNext()
        },
      },
    )
    this.#judging = { commandId, isStart: false }
  }

  #base(id: number): CommandBase {
    return { id, protocol: PROTOCOL, channelId: this.id }
  }

  /** @param commandId answered when the target has */
  #forward(request: WaitingRequest, commandId?: number): void {
    const { recipient } = this.toUpstream
    if (recipient === undefined || this.toUpstream.isCloseSent) {
      this.#replies.settle(request.slot, false)
      if (commandId !== undefined) this.host.answer(commandId, FAILED)
      return
    }
    const wantsReply = request.slot.wantsReply
    if (wantsReply) {
      this.#replies.forwarded(request.slot, (isSuccess) => {
        if (commandId !== undefined) this.host.answer(commandId, isSuccess ? COMPLETED : FAILED)
      })
    } else {
      this.#replies.settle(request.slot, true)
      if (commandId !== undefined) this.host.answer(commandId, COMPLETED)
    }
    this.host.send('upstream', channelRequest(recipient, request.name, request.data, { wantsReply }))
  }

  // Starting something

  #takeStart(request: WaitingRequest): void {
    const { name } = request
    const start = this.#readStart(request)
    // One per channel (RFC 4254 section 6.5).
    if (this.#stage !== 'preparing' || this.#startSlot !== undefined) return this.#outOfOrder(request)
    this.#startSlot = request.slot
    const problem = this.#startProblem(start)
    if (start === undefined || problem !== undefined) {
      const denial = problem ?? UNREADABLE
      this.host.refused(name, denial)
      this.#refuseStart(denial)
      return
    }
    const commandId = this.host.judge((id) => start.command(this.#base(id)), {
      permit: (obligations) => {
        this.#judging = undefined
        this.#start(request, start, commandId, obligations)
        this.#takeNext()
      },
      refuse: (denial) => {
        this.#judging = undefined
        this.#refuseStart(denial)
        this.#takeNext()
      },
      inform: (text) => {
        // The channel is accepted first, so that the text is read.
        this.#replies.settle(request.slot, true)
        this.#tell(noticeText(text, this.#lineEnd))
      },
    })
    this.#judging = { commandId, isStart: true }
  }

  #startProblem(start: Start | undefined): Denial | undefined {
    // A terminal changes, adds and drops bytes: the target would read other packets than were judged.
    if (start?.files !== undefined && this.#hasTerminal)
      return { reason: 'unsupported', message: 'files are not transferred through a terminal' }
    return undefined
  }

  #readStart({ name, data }: WaitingRequest): Start | undefined {
    const { forcedCommand } = this.host.permissions
    if (name === 'exec') {
      const text = readCommand(data)
      if (text === undefined) return undefined
      return forcedCommand === undefined ? this.#shellStart(text) : this.#forcedStart(forcedCommand, text)
    }
    if (name === 'shell') {
      if (data.length > 0) throw malformed(name)
      if (forcedCommand !== undefined) return this.#forcedStart(forcedCommand, '')
      const environment = [...this.#environment]
      const hasTerminal = this.#hasTerminal
      const text = hasTerminal ? 'interactive shell' : 'shell without a terminal'
      const command = (base: CommandBase): Command => ({
        ...base,
        kind: 'terminal',
        via: 'shell',
        text,
        environment,
        hasTerminal,
      })
      return { name, data, command, files: undefined }
    }
    const subsystem = readName(data, name)
    if (forcedCommand !== undefined) return this.#forcedStart(forcedCommand, subsystem)
    const command = (base: CommandBase): Command => ({
      ...base,
      kind: 'ssh-request',
      via: 'subsystem',
      name: subsystem,
      text: `subsystem ${subsystem}`,
    })
    return { name, data, command, files: subsystem === 'sftp' ? { kind: 'sftp' } : undefined }
  }

  #shellStart(text: string): Start {
    const known = this.host.shellAnalyzer.analyze(text)
    const files = fileProgram(text, known)
    const facts = files !== undefined ? watched(known) : hidesFileProgram(known) ? unwatched(known) : known
    const environment = [...this.#environment]
    const hasTerminal = this.#hasTerminal
    const command = (base: CommandBase): Command => ({
      ...base,
      kind: 'shell',
      via: 'exec',
      text,
      facts,
      environment,
      hasTerminal,
    })
    return { name: 'exec', data: sshString(text), command, files }
  }

  /** What is asked for is an argument, and no more. */
  #forcedStart(forced: string, original: string): Start | undefined {
    // Not every shell keeps line ends inside of quotes.
    if (CONTROL.test(original)) return undefined
    this.#environment.push({ name: 'SSH_ORIGINAL_COMMAND', value: original })
    const quoted = original.replaceAll("'", "'\\''")
    const start = this.#shellStart(forced)
    if (start.files?.kind === 'sftp') return { ...start, name: 'subsystem', data: sshString('sftp') }
    // Servers take few variables from clients: the shell sets this one itself.
    return { ...start, data: sshString(`export SSH_ORIGINAL_COMMAND='${quoted}'; ${forced}`) }
  }

  #start(request: WaitingRequest, start: Start, commandId: number, obligations: Obligations): void {
    const { host, toUpstream } = this
    const { recipient } = toUpstream
    const { limits } = host
    const isGuarded = start.name === 'shell' && (obligations.terminal ?? 'guarded') === 'guarded'
    // What a guarded terminal shows is recorded as the client gets it, with what was typed.
    const { recordLevel: _recordedAsShown, ...unrecorded } = obligations
    const flushMs = this.#hasTerminal ? limits.terminalHoldBackMs : limits.holdBackMs
    this.run(commandId, isGuarded ? unrecorded : obligations, flushMs)
    if (recipient === undefined || toUpstream.isCloseReceived || toUpstream.isCloseSent) {
      this.#replies.settle(request.slot, false)
      this.end({ outcome: 'interrupted', tags: [] })
      return
    }
    if (isGuarded && this.#terminal === undefined) {
      this.end({ outcome: 'failed', tags: [], errorCode: 'unsupported' })
      const denial: Denial = { reason: 'unsupported', message: 'lines of a shell without a terminal cannot be guarded' }
      host.refused(request.name, denial)
      this.#refuseStart(denial)
      return
    }
    this.#stage = 'started'
    const early = toUpstream.takeAll()
    this.#askForTerminal(recipient, commandId, isGuarded)
    this.#replies.forwarded(request.slot, (isSuccess) => {
      if (!isSuccess) this.#notStarted('the target refused to start this')
    })
    const name = isGuarded ? 'exec' : start.name
    const data = isGuarded ? sshString(host.guardedShellCommand) : start.data
    host.send('upstream', channelRequest(recipient, name, data, { wantsReply: true }))
    toUpstream.isBlocked = false
    this.#app = this.#createApp(start, isGuarded, obligations)
    if (start.name === 'shell' && !isGuarded && this.#terminal !== undefined) {
      this.#hints = createCommandHints({ columns: this.#terminal.size.columns })
    }
    for (const item of early) {
      if (item.type === 'data') this.#toTarget(item.bytes)
      else if (item.type === 'eof') this.#endOf('downstream')
    }
    toUpstream.widen(limits.windowBytes)
  }

  #askForTerminal(recipient: number, commandId: number, isGuarded: boolean): void {
    const terminal = this.#terminal
    if (terminal === undefined) return
    this.host.resized(commandId, terminal.size)
    this.#replies.own((isSuccess) => {
      if (isSuccess) return
      if (isGuarded) this.#notStarted('the target gave no terminal, and without one lines cannot be guarded')
      else this.#tell(noticeText('the target gave no terminal', this.#lineEnd))
    })
    const data = isGuarded ? guardedTerminalRequest(terminal.data) : terminal.data
    this.host.send('upstream', channelRequest(recipient, 'pty-req', data, { wantsReply: true }))
  }

  #createApp(start: Start, isGuarded: boolean, obligations: Obligations): ChannelApp | undefined {
    const { host, toUpstream, toDownstream } = this
    if (start.files !== undefined) {
      const machine = createFileMachine(start.files, {
        nextCommandId: () => host.nextCommandId(),
        channelId: this.id,
        ...(host.textMasker === undefined ? {} : { textMasker: host.textMasker }),
      })
      return new FileApp({
        machine,
        host,
        toUpstream,
        toDownstream,
        passed: (bytes) => this.running?.output.count(bytes),
        broken: (error) => this.#broken(error),
      })
    }
    if (!isGuarded) return undefined
    return new GuardedApp({
      host,
      channelId: this.id,
      columns: this.#terminal?.size.columns ?? 80,
      environment: [...this.#environment],
      allowsRawTerminal: obligations.allowsRawTerminal ?? false,
      toUpstream,
      toDownstream,
      lineBegins: (commandId, lineObligations) => this.#lineBegins(commandId, lineObligations),
      shown: (bytes) => this.#shown(bytes, obligations),
      hangUp: (denial) => {
        this.#exit = { outcome: 'failed', tags: [], errorCode: denial.reason }
        this.end()
        this.#finish(denialText(denial, this.#lineEnd), REFUSED_EXIT_STATUS)
      },
    })
  }

  // Lines of a guarded shell

  #lineObligations: Obligations | undefined

  #lineBegins(commandId: number, obligations: Obligations): void {
    this.#lineEnds({ outcome: 'completed', tags: [] })
    this.running?.output.flush()
    const { host, id } = this
    this.#lineId = commandId
    this.#lineObligations = obligations
    // Recorded where the client gets to see it, with what it typed.
    const { recordLevel: _recordedElsewhere, ...rest } = obligations
    this.#line = new CommandOutput({
      commandId,
      obligations: rest,
      flow: this.toDownstream,
      maxHoldBackBytes: host.limits.maxHoldBackBytes,
      port: {
        pass: (_code, bytes) => this.#app?.fromTarget(bytes),
        record: () => {},
        flushLater: () => host.wakeLater(id, 'flush', host.limits.terminalHoldBackMs),
        capReached: () => this.capReached(),
      },
    })
  }

  #lineEnds(how: Ending): void {
    const line = this.#line
    if (line === undefined) return
    line.flush()
    this.#line = undefined
    this.#lineObligations = undefined
    this.host.answer(this.#lineId, { ...how, rows: 0, bytes: line.bytes })
  }

  #shown(bytes: Buffer, obligations: Obligations): void {
    const isLine = this.#line !== undefined
    const level = (isLine ? this.#lineObligations : obligations)?.recordLevel
    const commandId = isLine ? this.#lineId : this.running?.id
    if (level === 'full' && commandId !== undefined) this.host.record(commandId, 'stdout', bytes)
  }

  override wake(purpose: WakePurpose): void {
    if (purpose === 'escalate') this.#app?.wake?.()
    else this.flush()
  }

  override flush(): void {
    super.flush()
    this.#line?.flush()
  }

  /** A side broke the protocol that is spoken inside the channel. */
  #broken(error: SallyportError): void {
    if (this.#stage === 'over') return
    this.end({ outcome: 'failed', tags: [], errorCode: error.code })
    this.host.refused('files', { reason: 'unsupported', message: error.message })
    this.#finish(noticeText(error.message, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  /** The target would not. */
  #notStarted(why: string): void {
    if (this.#stage !== 'started') return
    this.#stage = 'over'
    this.#exit = { outcome: 'failed', tags: [], errorCode: 'refused-by-target' }
    this.end()
    if (this.toDownstream.isCloseSent) return
    this.#finish(noticeText(why, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  #refuseStart(denial: Denial): void {
    if (this.#startSlot !== undefined) this.#replies.settle(this.#startSlot, true)
    this.#stage = 'over'
    if (this.toDownstream.isCloseSent) return
    this.#finish(denialText(denial, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  /** Ends the channel towards both sides, in our own words towards the client. */
  #finish(text: Buffer, exitStatus: number): void {
    this.#stage = 'over'
    this.#hasFinished = true
    this.#app?.abandon()
    this.#tell(text)
    const { toDownstream } = this
    toDownstream.request('exit-status', uint32(exitStatus))
    toDownstream.eof()
    this.hangUp('downstream')
    this.hangUp('upstream')
  }

  #tell(text: Buffer): void {
    // On a terminal there is one stream.
    this.toDownstream.data(this.#hasTerminal ? 0 : STDERR, text)
  }

  override capReached(): void {
    const denial: Denial = { reason: 'limit', message: 'the command has said as much as it may' }
    this.end({ outcome: 'failed', tags: [], errorCode: 'limit' })
    this.#finish(denialText(denial, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  override shutdown(denial: Denial): void {
    if (!this.isOpen) {
      super.shutdown(denial)
      return
    }
    if (this.#stage === 'over') return
    this.flush()
    this.end({ outcome: 'interrupted', tags: [] })
    this.#finish(denialText(denial, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  // Data

  protected override fromClient(code: number, bytes: Buffer): void {
    const judging = this.#judging
    if (judging?.isStart === true && this.#hasTerminal && bytes.includes(INTERRUPT)) {
      this.host.withdraw(judging.commandId)
    }
    if (this.#stage === 'over' || code !== 0) {
      this.toUpstream.grant()
      return
    }
    if (this.#app === undefined || this.#stage !== 'started') {
      this.#hints?.input(bytes)
      this.toUpstream.data(0, bytes)
      return
    }
    this.#app.fromClient(this.#app instanceof FileApp ? bytes : Buffer.from(bytes))
    this.toUpstream.grant()
  }

  #toTarget(bytes: Buffer): void {
    if (this.#app === undefined) this.toUpstream.data(0, bytes)
    else this.#app.fromClient(bytes)
  }

  protected override fromTarget(code: number, bytes: Buffer): void {
    if (this.#app === undefined || code !== 0) {
      super.fromTarget(code, bytes)
      return
    }
    if (this.#app instanceof FileApp) this.#app.fromTarget(bytes)
    else (this.#line ?? this.running?.output)?.write(0, Buffer.from(bytes))
    this.toDownstream.grant()
  }

  protected override passToClient(code: number, bytes: Buffer): void {
    if (this.#app !== undefined && code === 0) {
      this.#app.fromTarget(bytes)
      return
    }
    if (this.#hints !== undefined && this.running !== undefined) {
      for (const hint of this.#hints.output(Buffer.from(bytes))) this.host.detected(this.running.id, hint)
    }
    super.passToClient(code, bytes)
  }

  override eof(from: Side): void {
    const flow = this.flowFrom(from)
    if (flow.isEofReceived || flow.isCloseReceived) return
    if (this.#app === undefined || this.#stage !== 'started') {
      super.eof(from)
      return
    }
    flow.isEofReceived = true
    if (from === 'upstream') this.flush()
    this.#endOf(from)
  }

  #endOf(side: Side): void {
    if (this.#app === undefined) this.flowFrom(side).eof()
    else this.#app.ended(side)
  }

  // What the target says

  #targetRequest(message: RequestMessage): void {
    const { name, data, wantsReply } = message
    let isKnown = this.running !== undefined && !this.#hasFinished
    if (isKnown) {
      switch (name) {
        case 'exit-status': {
          const status = readExitStatus(data)
          this.#exit = {
            outcome: 'completed',
            tags: [`exit ${status}`],
            exitCode: status,
          }
          this.flush()
          this.toDownstream.request(name, data)
          break
        }
        case 'exit-signal': {
          const { signal, isCoreDumped } = readExitSignal(data)
          this.#exit = { outcome: 'failed', tags: [`signal ${signal}`], signal }
          this.flush()
          this.toDownstream.request(name, exitSignal(signal, isCoreDumped))
          break
        }
        case 'xon-xoff':
        case 'eow@openssh.com':
          this.toDownstream.request(name, data)
          break
        default:
          isKnown = false
      }
    }
    if (wantsReply) this.replyTo('upstream', isKnown)
  }

  override reply(from: Side, isSuccess: boolean): boolean {
    return from === 'upstream' && this.#replies.reply(isSuccess)
  }

  override close(from: Side): void {
    if (this.#judging !== undefined && from === 'downstream') this.host.withdraw(this.#judging.commandId)
    if (from === 'upstream') this.flush()
    this.#app?.abandon()
    super.close(from)
    this.#stage = 'over'
    if (from === 'upstream') this.#replies.failAll()
  }

  protected override end(how?: Ending): void {
    this.#lineEnds(how === undefined && this.#exit !== undefined ? { outcome: 'completed', tags: [] } : INTERRUPTED)
    super.end(how ?? this.#exit ?? { outcome: 'interrupted', tags: [] })
  }

  override abandon(): void {
    if (this.#judging !== undefined) this.host.withdraw(this.#judging.commandId)
    this.#app?.abandon()
    this.#replies.failAll()
    super.abandon()
  }
}

/** What it touches below its paths is judged file by file. */
function watched(facts: ShellFacts): ShellFacts {
  return { ...facts, files: facts.files.map((file) => ({ ...file, isRecursive: false })) }
}

/** Fails closed: what is done with files by it cannot be judged, so that its line says nothing. */
function unwatched(facts: ShellFacts): ShellFacts {
  const hazards = facts.hazards.includes('unseen-code') ? facts.hazards : [...facts.hazards, 'unseen-code' as const]
  return { ...facts, certainty: 'unparsed', problem: 'a file server that is not alone in its line', hazards }
}

function malformed(name: string): SallyportError {
  return new SallyportError('protocol_violation', `request \`${name}\` has data that it does not have`)
}

function createFileMachine(
  program: FileProgram,
  options: { readonly nextCommandId: () => number; readonly channelId: number; readonly textMasker?: TextMasker },
): FileMachine {
  if (program.kind === 'sftp') return createSftpMachine(options)
  return createScpMachine({ ...options, command: program.command })
}
