import {
  type Command,
  type CommandAnswer,
  type CommandBase,
  type Denial,
  type EnvironmentVariable,
  Fifo,
  type Obligations,
  printableText,
  SallyportError,
  type Side,
} from '../../core/index.js'
import { Channel, type OpenMessage, type RequestMessage } from './channel.js'
import { type ChannelHost, COMPLETED, FAILED, UNSUPPORTED } from './channel-host.js'
import { STDERR } from './message-types.js'
import { channelRequest, uint32 } from './messages.js'
import { denialText, noticeText, REFUSED_EXIT_STATUS } from './refusal.js'
import { ReplyOrder, type ReplySlot } from './reply-order.js'
import {
  exitSignal,
  readBreak,
  readCommand,
  readEnvironment,
  readExitSignal,
  readExitStatus,
  readName,
  readTerminal,
  readWindowChange,
  readX11,
} from './requests.js'

const PROTOCOL = 'ssh'
const INTERRUPT = 0x03 // Ctrl-C, where no program has changed it

interface WaitingRequest {
  readonly name: string
  readonly data: Buffer
  readonly slot: ReplySlot
}

/** What a start request asks for, apart from its name. */
type Start = (base: CommandBase) => Command

/**
 * A session channel: where commands, shells and subsystems run (RFC 4254 section 6).
 *
 * Theory of operation. Requests of the client are taken one after the other: while one is being decided on, later ones wait
 * in `#waiting`, and data in the flow, which is blocked until something runs. What a request is judged as:
 *
 * - `env`, `pty-req`, `x11-req`, `auth-agent-req@openssh.com`, `signal`, `break`: an `ssh-request` command of that name.
 * - `exec`: a `shell` command; `shell`: a `terminal` command; `subsystem`: an `ssh-request`. One of these per channel.
 * - `window-change` follows the permit of its `pty-req`: it carries nothing but numbers.
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
  #hasTerminal = false
  #stage: 'preparing' | 'started' | 'over' = 'preparing'
  /** The request that is being decided on. */
  #judging: { readonly commandId: number; readonly isStart: boolean } | undefined
  #startSlot: ReplySlot | undefined
  #exit: Pick<CommandAnswer, 'outcome' | 'tags' | 'errorCode'> | undefined

  constructor(id: number, open: OpenMessage, host: ChannelHost) {
    super(id, open, 'downstream', host)
    this.#replies = new ReplyOrder((isSuccess) => this.replyTo('downstream', isSuccess))
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
        const { term } = readTerminal(data)
        if (this.#stage !== 'preparing' || this.#hasTerminal) return this.#outOfOrder(request)
        return this.#judgeRequest(request, term, `pty-req ${printableText(term)}`, () => {
          this.#hasTerminal = true
        })
      }
      case 'x11-req': {
        const { protocol } = readX11(data)
        if (this.#stage !== 'preparing') return this.#outOfOrder(request)
        return this.#judgeRequest(request, protocol, `x11-req ${printableText(protocol)}`, (id, obligations) =>
          this.host.allowReverse('x11', id, obligations),
        )
      }
      case 'auth-agent-req@openssh.com':
        if (data.length > 0) throw malformed(name)
        if (this.#stage !== 'preparing') return this.#outOfOrder(request)
        return this.#judgeRequest(request, '', 'auth-agent-req@openssh.com', (id, obligations) =>
          this.host.allowReverse('auth-agent@openssh.com', id, obligations),
        )
      case 'exec':
      case 'shell':
      case 'subsystem':
        return this.#takeStart(request)
      case 'window-change':
        readWindowChange(data)
        if (!this.#hasTerminal) return this.#outOfOrder(request)
        return this.#forward(request)
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
    })
  }

  /** @param permitted what follows from a permit, before the target hears of it */
  #judgeRequest(
    request: WaitingRequest,
    name: string,
    text: string,
    permitted: (commandId: number, obligations: Obligations) => void = () => {},
  ): void {
    const commandId = this.host.judge(
      (id) => ({ id, protocol: PROTOCOL, kind: 'ssh-request', via: request.name, name, text }),
      {
        permit: (obligations) => {
          this.#judging = undefined
          permitted(commandId, obligations)
          this.#forward(request, commandId)
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
    const { name, data } = request
    const start = this.#readStart(name, data)
    // One per channel (RFC 4254 section 6.5).
    if (this.#stage !== 'preparing') return this.#outOfOrder(request)
    this.#startSlot = request.slot
    if (start === undefined) {
      const denial: Denial = { reason: 'unparsed', message: 'the command is not a text in UTF-8' }
      this.host.refused(name, denial)
      this.#refuseStart(denial)
      return
    }
    const commandId = this.host.judge((id) => start({ id, protocol: PROTOCOL }), {
      permit: (obligations) => {
        this.#judging = undefined
        this.#start(request, commandId, obligations)
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

  #readStart(name: string, data: Buffer): Start | undefined {
    const environment = [...this.#environment]
    const hasTerminal = this.#hasTerminal
    if (name === 'exec') {
      const text = readCommand(data)
      if (text === undefined) return undefined
      const facts = this.host.shellAnalyzer.analyze(text)
      return (base) => ({ ...base, kind: 'shell', via: 'exec', text, facts, environment, hasTerminal })
    }
    if (name === 'shell') {
      if (data.length > 0) throw malformed(name)
      const text = hasTerminal ? 'interactive shell' : 'shell without a terminal'
      return (base) => ({ ...base, kind: 'terminal', via: 'shell', text, environment, hasTerminal })
    }
    const subsystem = readName(data, name)
    return (base) => ({
      ...base,
      kind: 'ssh-request',
      via: 'subsystem',
      name: subsystem,
      text: `subsystem ${subsystem}`,
    })
  }

  #start(request: WaitingRequest, commandId: number, obligations: Obligations): void {
    const { host, toUpstream } = this
    const { recipient } = toUpstream
    const { limits } = host
    this.run(commandId, obligations, this.#hasTerminal ? limits.terminalHoldBackMs : limits.holdBackMs)
    if (recipient === undefined || toUpstream.isCloseReceived || toUpstream.isCloseSent) {
      this.#replies.settle(request.slot, false)
      this.end({ outcome: 'interrupted', tags: [] })
      return
    }
    this.#stage = 'started'
    this.#replies.forwarded(request.slot, (isSuccess) => {
      if (!isSuccess) this.#notStarted()
    })
    host.send('upstream', channelRequest(recipient, request.name, request.data, { wantsReply: true }))
    toUpstream.isBlocked = false
    toUpstream.pump()
    toUpstream.widen(limits.windowBytes)
  }

  /** The target would not. */
  #notStarted(): void {
    if (this.#stage !== 'started') return
    this.#stage = 'over'
    this.#exit = { outcome: 'failed', tags: [], errorCode: 'refused-by-target' }
    this.end()
    if (this.toDownstream.isCloseSent) return
    this.#finish(noticeText('the target refused to start this', this.#lineEnd), REFUSED_EXIT_STATUS)
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

  /** The session is over, for a reason from outside. */
  shutdown(denial: Denial): void {
    if (this.#stage === 'over' || !this.isOpen) return
    this.flush()
    this.end({ outcome: 'interrupted', tags: [] })
    this.#finish(denialText(denial, this.#lineEnd), REFUSED_EXIT_STATUS)
  }

  // Data

  protected override fromClient(code: number, bytes: Buffer, payload: Buffer): void {
    const judging = this.#judging
    if (judging?.isStart === true && this.#hasTerminal && bytes.includes(INTERRUPT)) {
      this.host.withdraw(judging.commandId)
    }
    if (this.#stage === 'over') return
    super.fromClient(code, bytes, payload)
  }

  // What the target says

  #targetRequest(message: RequestMessage): void {
    const { name, data, wantsReply } = message
    let isKnown = this.running !== undefined
    if (isKnown) {
      switch (name) {
        case 'exit-status': {
          const status = readExitStatus(data)
          this.#exit = {
            outcome: 'completed',
            tags: [`exit ${status}`],
            ...(status === 0 ? {} : { errorCode: String(status) }),
          }
          this.flush()
          this.toDownstream.request(name, data)
          break
        }
        case 'exit-signal': {
          const { signal, isCoreDumped } = readExitSignal(data)
          this.#exit = { outcome: 'failed', tags: [`signal ${signal}`], errorCode: `SIG${signal}` }
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
    super.close(from)
    this.#stage = 'over'
    if (from === 'upstream') this.#replies.failAll()
  }

  protected override end(how?: Pick<CommandAnswer, 'outcome' | 'tags' | 'errorCode'>): void {
    super.end(how ?? this.#exit ?? { outcome: 'interrupted', tags: [] })
  }

  override abandon(): void {
    if (this.#judging !== undefined) this.host.withdraw(this.#judging.commandId)
    this.#replies.failAll()
    super.abandon()
  }
}

function malformed(name: string): SallyportError {
  return new SallyportError('protocol_violation', `request \`${name}\` has data that it does not have`)
}
