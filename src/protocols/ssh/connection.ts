import {
  type Command,
  type CommandAnswer,
  type Denial,
  Fifo,
  type FileContent,
  type FileTransfer,
  type Obligations,
  otherSide,
  type PortForwardCommand,
  printableText,
  SallyportError,
  type ShellAnalyzer,
  type Side,
  type TerminalSize,
  type TextMasker,
} from '../../core/index.js'
import { Channel, type OpenMessage } from './channel.js'
import { type ChannelHost, type CommandHandler, NOT_PERMITTED, UNSUPPORTED } from './channel-host.js'
import type { SshEvent, WakePurpose } from './events.js'
import { type ReversePermit, ReversePermits, socketKey, tcpKey } from './forwards.js'
import { GlobalRequests } from './global-requests.js'
import { OPEN_FAILURE } from './message-types.js'
import { type DataMessage, decodeMessage, openFailure, readData } from './messages.js'
import {
  ALL_SSH_PERMISSIONS,
  DEFAULT_GUARDED_SHELL_COMMAND,
  resolveSshLimits,
  type ResolvedSshLimits,
  type SshConnectionOptions,
  type SshPermissions,
} from './options.js'
import { readDirectStreamlocal, readDirectTcpip, readForwardedStreamlocal, readForwardedTcpip } from './requests.js'
import { SessionChannel } from './session-channel.js'

const NO_OBLIGATIONS: Obligations = {}
const MAX_CHANNEL_ID = 0xffff_ffff
/** Channels count from 1. */
const NO_CHANNEL = 0
/** For clients to see how their commands ended, and to leave. */
const ENDING_MS = 500

/**
 * The connection protocol of SSH (RFC 4254) as a pure state machine between a client and a target.
 *
 * It starts where both sides have logged in: key exchange, encryption and authentication are the transport's. In go whole
 * messages of either side, out come messages to either side and commands to judge.
 *
 * Theory of operation. The connection has channels, and requests of its own (`GlobalRequests`). A channel of the client is
 * joined with one of the target; session channels (`SessionChannel`) are opened at once on both sides, as nothing happens
 * in one before it is asked to start something, and that is judged. Forwarded connections are judged as `port-forward`
 * commands before the target hears of them. What the target opens is passed on only where a permitted request asked for it.
 *
 * Everything else is refused here, and every message that is malformed, or comes to a channel that is not there, ends the
 * connection.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4254
 */
export class SshConnection implements ChannelHost {
  readonly limits: ResolvedSshLimits
  readonly shellAnalyzer: ShellAnalyzer
  readonly textMasker: TextMasker | undefined
  readonly permissions: SshPermissions
  readonly guardedShellCommand: string
  readonly #events = new Fifo<SshEvent>()
  readonly #channels = new Map<number, Channel>()
  readonly #handlers = new Map<number, CommandHandler>()
  readonly #permits = new ReversePermits()
  readonly #globals: GlobalRequests
  readonly #early: Buffer[] = []
  readonly #data: DataMessage = { recipient: 0, code: 0, bytes: Buffer.alloc(0) }
  #earlyBytes = 0
  #nextChannel = 1
  #nextCommand = 1
  #isUpstreamReady = false
  #ending: Denial | undefined
  #isClosed = false
  #isDownstreamFull = false
  #isUpstreamFull = false

  constructor(options: SshConnectionOptions) {
    this.limits = resolveSshLimits(options.limits)
    this.shellAnalyzer = options.shellAnalyzer
    this.textMasker = options.textMasker
    this.permissions = options.permissions ?? ALL_SSH_PERMISSIONS
    this.guardedShellCommand = options.guardedShellCommand ?? DEFAULT_GUARDED_SHELL_COMMAND
    this.#globals = new GlobalRequests(this, this.#permits)
  }

  // What the driver calls

  /**
   * One message of the connection protocol. Never throws for what a peer sent: that ends in a `close` event.
   *
   * @param payload channel data is lent: its memory may be used again once `next` has run empty. Other messages are given away
   */
  receive(from: Side, payload: Buffer): void {
    if (this.#isClosed) return
    if (from === 'downstream' && !this.#isUpstreamReady) {
      this.#earlyBytes += payload.length
      if (this.#earlyBytes > this.limits.maxEarlyBytes) {
        this.#break(new SallyportError('limit_exceeded', 'the client sent too much before its target was reached'))
        return
      }
      this.#early.push(Buffer.from(payload))
      return
    }
    try {
      this.#receive(from, payload)
    } catch (cause) {
      this.#break(cause)
    }
  }

  /** The target has let us in. */
  upstreamReady(): void {
    this.#isUpstreamReady = true
    for (const payload of this.#early.splice(0)) this.receive('downstream', payload)
    this.#earlyBytes = 0
  }

  /** False while more would only pile up. */
  wantsRead(from: Side): boolean {
    return !this.#isClosed && (from === 'upstream' || this.#isUpstreamReady)
  }

  /** The next thing to do. Call until it is empty after every other call. */
  next(): SshEvent | undefined {
    return this.#events.shift()
  }

  permit(commandId: number, obligations: Obligations = NO_OBLIGATIONS): void {
    const handler = this.#handlers.get(commandId)
    this.#handlers.delete(commandId)
    if (this.#ending !== undefined) handler?.refuse(this.#ending)
    if (handler === undefined || this.#isClosed || this.isEnding) {
      this.answer(commandId, { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 })
      return
    }
    this.#guarded(() => handler.permit(obligations))
  }

  refuse(commandId: number, denial: Denial): void {
    const handler = this.#handlers.get(commandId)
    this.#handlers.delete(commandId)
    if (!this.#isClosed) this.#guarded(() => handler?.refuse(denial))
  }

  /** Tells the client something while its command waits. */
  inform(commandId: number, text: string): void {
    if (!this.#isClosed) this.#guarded(() => this.#handlers.get(commandId)?.inform?.(text))
  }

  /** The time of a `wake-later` has come. */
  wake(channelId: number, purpose: WakePurpose): void {
    if (this.#isClosed) return
    if (purpose === 'disconnect') this.#close(this.#ending?.message ?? 'the session is over')
    else this.#guarded(() => this.#channels.get(channelId)?.wake(purpose))
  }

  /** A side's transport has more to send than it can, or has room again. */
  full(side: Side, isFull: boolean): void {
    if (side === 'downstream') this.#isDownstreamFull = isFull
    else this.#isUpstreamFull = isFull
    if (isFull || this.#isClosed) return
    for (const channel of this.#channels.values()) channel.flowTo(side).grant()
  }

  /** Asks a side for a sign of life. */
  ping(side: Side): void {
    if (!this.#isClosed && (side === 'downstream' || this.#isUpstreamReady)) this.#globals.ping(side)
  }

  /** A side's transport is gone. */
  end(from: Side): void {
    if (this.#isClosed) return
    if (from === 'downstream') this.#close('the client disconnected')
    else this.#close('the target closed the connection')
  }

  upstreamFailed(error: SallyportError): void {
    if (this.#isClosed) return
    this.#close('the target cannot be reached', error)
  }

  /**
   * Ends the session from outside. Whoever runs something is told on stderr and has a moment to leave by themselves: a client
   * that is disconnected at once forgets the rest. Everybody is told the reason to disconnect.
   */
  shutdown(denial: Denial): void {
    if (this.#isClosed || this.#ending !== undefined) return
    if (this.#channels.size === 0) {
      this.#close(denial.message)
      return
    }
    this.#ending = denial
    for (const commandId of this.#handlers.keys()) this.withdraw(commandId)
    this.#guarded(() => {
      for (const channel of this.#channels.values()) {
        channel.shutdown(denial)
        this.#forget(channel)
      }
    })
    this.wakeLater(NO_CHANNEL, 'disconnect', ENDING_MS)
  }

  get isEnding(): boolean {
    return this.#ending !== undefined
  }

  // What channels call

  send(to: Side, payload: Buffer, body?: Buffer): void {
    if (this.#isClosed) return
    this.#events.push(body === undefined ? { type: 'send', to, payload } : { type: 'send', to, payload, body })
  }

  isFull(side: Side): boolean {
    return side === 'downstream' ? this.#isDownstreamFull : this.#isUpstreamFull
  }

  judge(make: (id: number) => Command, handler: CommandHandler): number {
    const id = this.nextCommandId()
    this.judgeCommand(make(id), handler)
    return id
  }

  judgeCommand(command: Command, handler: CommandHandler): void {
    this.#handlers.set(command.id, handler)
    this.#events.push({ type: 'command', command })
  }

  nextCommandId(): number {
    return this.#nextCommand++
  }

  withdraw(commandId: number): void {
    this.#events.push({ type: 'withdraw', commandId })
  }

  answer(commandId: number, answer: CommandAnswer): void {
    this.#events.push({ type: 'answer', commandId, answer })
  }

  record(commandId: number, channel: string, bytes: Uint8Array): void {
    this.#events.push({ type: 'output', commandId, channel, bytes })
  }

  refused(via: string, denial: Denial): void {
    this.#events.push({ type: 'refused', via, denial })
  }

  wakeLater(channelId: number, purpose: WakePurpose, delayMs: number): void {
    this.#events.push({ type: 'wake-later', channelId, purpose, delayMs })
  }

  transferred(commandId: number, transfer: FileTransfer): void {
    this.#events.push({ type: 'transferred', commandId, transfer })
  }

  fileContent(commandId: number, content: FileContent): void {
    this.#events.push({ type: 'file-content', commandId, content })
  }

  resized(commandId: number, size: TerminalSize): void {
    this.#events.push({ type: 'resized', commandId, size })
  }

  detected(commandId: number, text: string): void {
    this.#events.push({ type: 'detected', commandId, text })
  }

  allowReverse(kind: string, commandId: number, obligations: Obligations): void {
    this.#permits.add(kind, { commandId, obligations })
  }

  // Messages

  #receive(from: Side, payload: Buffer): void {
    const code = from === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation'
    const data = this.#data
    if (readData(payload, code, data)) {
      this.#channel(from, data.recipient).data(from, data.code, data.bytes)
      return
    }
    const message = decodeMessage(payload, code)
    switch (message.type) {
      case 'global-request':
        if (from === 'downstream') this.#globals.fromClient(message)
        else this.#globals.fromTarget(message)
        return
      case 'request-success':
      case 'request-failure': {
        const isSuccess = message.type === 'request-success'
        if (from === 'downstream') this.#globals.replyFromClient()
        else this.#globals.replyFromTarget(isSuccess, isSuccess ? Buffer.from(message.data) : undefined)
        return
      }
      case 'open':
        if (from === 'downstream') this.#openFromClient(message)
        else this.#openFromTarget(message)
        return
      case 'open-confirmation':
        this.#openAnswered(from, message.recipient).confirmed(message)
        return
      case 'open-failure': {
        const channel = this.#openAnswered(from, message.recipient)
        channel.failed(message)
        this.#forget(channel)
        return
      }
      case 'window-adjust':
        this.#channel(from, message.recipient).adjust(from, message.bytes)
        return
      case 'eof':
        this.#channel(from, message.recipient).eof(from)
        return
      case 'close': {
        const channel = this.#channel(from, message.recipient)
        channel.close(from)
        this.#forget(channel)
        return
      }
      case 'request':
        this.#channel(from, message.recipient).request(from, message)
        return
      case 'success':
      case 'failure':
        if (this.#channel(from, message.recipient).reply(from, message.type === 'success')) return
        throw new SallyportError(code, 'a reply came to no request of a channel')
    }
  }

  #channel(from: Side, id: number): Channel {
    const channel = this.#channels.get(id)
    if (channel?.isOpen === true && !channel.flowFrom(from).isCloseReceived) return channel
    throw new SallyportError(
      from === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
      `a message came to channel ${id}, which is not open`,
    )
  }

  #openAnswered(from: Side, id: number): Channel {
    const channel = this.#channels.get(id)
    if (channel !== undefined && !channel.isOpen && channel.openedBy === otherSide(from)) return channel
    throw new SallyportError(
      from === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
      `an answer came for channel ${id}, which nobody is opening`,
    )
  }

  #forget(channel: Channel): void {
    if (channel.isGone) this.#channels.delete(channel.id)
  }

  // Opening channels

  #openFromClient(message: OpenMessage): void {
    const { kind } = message
    if (this.#ending !== undefined) {
      this.send(
        'downstream',
        openFailure(message.sender, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, this.#ending.message),
      )
      return
    }
    if (this.#channels.size >= this.limits.maxChannels) {
      this.refused(kind, { reason: 'limit', message: 'there are too many channels' })
      this.send('downstream', openFailure(message.sender, OPEN_FAILURE.RESOURCE_SHORTAGE, 'too many channels'))
      return
    }
    switch (kind) {
      case 'session': {
        if (message.data.length > 0)
          throw new SallyportError('protocol_violation', 'a session has no data to open with')
        if (this.#globals.isClosedToSessions) {
          throw new SallyportError('protocol_violation', 'a session came after there were to be no more')
        }
        const channel = new SessionChannel(this.#newId(), message, this)
        this.#channels.set(channel.id, channel)
        channel.passOpen()
        return
      }
      case 'direct-tcpip': {
        const { host, port } = readDirectTcpip(message.data)
        if (port > 65_535) throw new SallyportError('protocol_violation', 'a port has more than 16 bits')
        return this.#openForward(message, { text: `${kind} ${printableText(host)}:${port}`, host, port })
      }
      case 'direct-streamlocal@openssh.com': {
        const socketPath = readDirectStreamlocal(message.data)
        return this.#openForward(message, { text: `${kind} ${printableText(socketPath)}`, socketPath })
      }
      default:
        this.refused(kind, UNSUPPORTED(`channel \`${kind}\``))
        this.send('downstream', openFailure(message.sender, OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE, 'not supported'))
    }
  }

  #openForward(message: OpenMessage, what: Pick<PortForwardCommand, 'text' | 'host' | 'port' | 'socketPath'>): void {
    if (!this.permissions.allowsPortForwarding) {
      const denial = NOT_PERMITTED(message.kind)
      this.refused(message.kind, denial)
      this.send('downstream', openFailure(message.sender, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, denial.message))
      return
    }
    const channel = new Channel(this.#newId(), message, 'downstream', this)
    this.#channels.set(channel.id, channel)
    const commandId = this.judge(
      (id) => ({
        id,
        protocol: 'ssh',
        channelId: channel.id,
        kind: 'port-forward',
        via: message.kind,
        direction: 'local',
        ...what,
      }),
      {
        permit: (obligations) => {
          channel.run(commandId, obligations, this.limits.holdBackMs)
          channel.passOpen()
        },
        refuse: (denial) => {
          channel.fail(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, `sallyport: refused: ${printableText(denial.message)}`)
          this.#forget(channel)
        },
      },
    )
  }

  #openFromTarget(message: OpenMessage): void {
    const permit = this.#reversePermit(message)
    if (permit === undefined || this.isEnding || this.#channels.size >= this.limits.maxChannels) {
      this.send(
        'upstream',
        openFailure(message.sender, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, 'nobody asked for this channel'),
      )
      return
    }
    const channel = new Channel(this.#newId(), message, 'upstream', this)
    channel.run(permit.commandId, permit.obligations, this.limits.holdBackMs, { isShared: true })
    this.#channels.set(channel.id, channel)
    channel.passOpen()
  }

  #reversePermit({ kind, data }: OpenMessage): ReversePermit | undefined {
    switch (kind) {
      case 'forwarded-tcpip': {
        const { host, port } = readForwardedTcpip(data)
        return this.#permits.find(tcpKey(host, port))
      }
      case 'forwarded-streamlocal@openssh.com':
        return this.#permits.find(socketKey(readForwardedStreamlocal(data)))
      case 'x11':
      case 'auth-agent@openssh.com':
        return this.#permits.find(kind)
      default:
        return undefined
    }
  }

  #newId(): number {
    if (this.#nextChannel > MAX_CHANNEL_ID) throw new SallyportError('limit_exceeded', 'all channel numbers are used')
    return this.#nextChannel++
  }

  // Ends

  #guarded(call: () => void): void {
    try {
      call()
    } catch (cause) {
      this.#break(cause)
    }
  }

  #break(cause: unknown): void {
    const error =
      cause instanceof SallyportError ? cause : new SallyportError('internal', 'the connection failed', { cause })
    this.#close(error.blame === 'upstream' ? 'the target broke the protocol' : error.message, error)
  }

  #close(message: string, error?: SallyportError): void {
    if (this.#isClosed) return
    this.#globals.abandon()
    for (const channel of this.#channels.values()) channel.abandon()
    for (const commandId of this.#handlers.keys()) this.withdraw(commandId)
    this.#isClosed = true
    this.#channels.clear()
    this.#events.push({ type: 'close', message, ...(error === undefined ? {} : { error }) })
  }
}
