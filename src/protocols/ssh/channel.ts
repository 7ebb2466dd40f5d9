import type { CommandAnswer, Denial, Obligations, Side } from '../../core/index.js'
import type { ChannelHost } from './channel-host.js'
import { CommandOutput } from './command-output.js'
import type { WakePurpose } from './events.js'
import { Flow } from './flow.js'
import { OPEN_FAILURE, SSH_MESSAGE } from './message-types.js'
import { channelMessage, channelOpen, openConfirmation, openFailure, type SshMessage } from './messages.js'
import { MAX_PACKET_BYTES } from './options.js'

export type OpenMessage = Extract<SshMessage, { type: 'open' }>
export type OpenConfirmation = Extract<SshMessage, { type: 'open-confirmation' }>
export type OpenFailure = Extract<SshMessage, { type: 'open-failure' }>
export type RequestMessage = Extract<SshMessage, { type: 'request' }>

/** How a command ended. */
export type Ending = Omit<CommandAnswer, 'rows' | 'bytes'>

/** A command that runs in a channel, and what it says. */
export interface RunningCommand {
  readonly id: number
  readonly output: CommandOutput
  /** The command goes on after this channel: who listens for the client, or lends its agent. */
  readonly isShared: boolean
}

/**
 * One channel of the client and the one of the target that it is joined with. Both know it by the same number of ours.
 *
 * It is opened on one side, then on the other, and confirmed when the other side has confirmed. From there on the two
 * flows are independent. It is gone when every side that has an end of it has sent and been sent CLOSE.
 */
export class Channel {
  readonly id: number
  readonly kind: string
  readonly openedBy: Side
  readonly host: ChannelHost
  readonly toUpstream: Flow
  readonly toDownstream: Flow
  readonly #open: OpenMessage
  #state: 'opening' | 'open' | 'failed' = 'opening'
  #isAsked = false
  /** What it runs, where that is over by the end of the channel. */
  running: RunningCommand | undefined

  constructor(id: number, open: OpenMessage, openedBy: Side, host: ChannelHost) {
    this.id = id
    this.kind = open.kind
    this.openedBy = openedBy
    this.host = host
    this.#open = open
    const { limits } = host
    const isSession = open.kind === 'session'
    this.toUpstream = new Flow('downstream', isSession ? limits.heldWindowBytes : limits.windowBytes, host)
    this.toDownstream = new Flow('upstream', limits.windowBytes, host)
    // INVARIANT: what is sent into a channel passes only once what runs in it was permitted.
    this.toUpstream.isBlocked = isSession
  }

  flowFrom(side: Side): Flow {
    return side === 'downstream' ? this.toUpstream : this.toDownstream
  }

  flowTo(side: Side): Flow {
    return side === 'downstream' ? this.toDownstream : this.toUpstream
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Nothing is owed to or by anybody any more. */
  get isGone(): boolean {
    if (this.#state === 'failed') return true
    if (this.#state === 'opening') return false
    const { toUpstream, toDownstream } = this
    return (
      toUpstream.isCloseReceived && toUpstream.isCloseSent && toDownstream.isCloseReceived && toDownstream.isCloseSent
    )
  }

  /** Opens the other side's end. */
  passOpen(): void {
    this.#isAsked = true
    const to = this.openedBy === 'downstream' ? 'upstream' : 'downstream'
    const { kind, data } = this.#open
    const flow = this.flowFrom(to)
    flow.limitTo(this.#open.windowBytes)
    const { windowBytes } = flow
    this.host.send(to, channelOpen(kind, { sender: this.id, windowBytes, maxPacketBytes: MAX_PACKET_BYTES }, data))
  }

  /** The other side has opened its end: so do we, and both flow. */
  confirmed(message: OpenConfirmation): void {
    this.#state = 'open'
    const opener = this.openedBy
    const { sender, windowBytes, maxPacketBytes } = this.#open
    const toOther = this.flowFrom(opener)
    const toOpener = this.flowTo(opener)
    toOpener.knowSender(message.sender)
    toOther.knowSender(sender)
    toOther.limitTo(message.windowBytes)
    this.host.send(
      opener,
      openConfirmation(sender, {
        sender: this.id,
        windowBytes: toOther.windowBytes,
        maxPacketBytes: MAX_PACKET_BYTES,
      }),
    )
    toOther.open(message.sender, message.windowBytes, message.maxPacketBytes)
    toOpener.open(sender, windowBytes, maxPacketBytes)
  }

  /** Nobody opened the other end, or nobody was asked to. */
  fail(reason: number, description: string | Uint8Array): void {
    if (this.#state !== 'opening') return
    this.#state = 'failed'
    this.host.send(this.openedBy, openFailure(this.#open.sender, reason, description))
    this.end({ outcome: 'failed', tags: [], errorCode: `open-failure ${reason}` })
  }

  failed(message: OpenFailure): void {
    const isKnown = message.reason >= 1 && message.reason <= 4
    // The target's words may quote anything: the client gets the reason alone.
    this.fail(isKnown ? message.reason : OPEN_FAILURE.CONNECT_FAILED, 'the target did not open the channel')
  }

  /** From here on what the target says in it is this command's output. */
  run(commandId: number, obligations: Obligations, flushMs: number, options = { isShared: false }): void {
    const { host, id } = this
    const output = new CommandOutput({
      commandId,
      obligations,
      flow: this.toDownstream,
      maxHoldBackBytes: host.limits.maxHoldBackBytes,
      port: {
        record: (command, channel, bytes) => host.record(command, channel, bytes),
        pass: (code, bytes) => this.passToClient(code, bytes),
        flushLater: () => host.wakeLater(id, 'flush', flushMs),
        capReached: () => this.capReached(),
      },
    })
    this.running = { id: commandId, output, isShared: options.isShared }
  }

  /** What the target said, as the client is to get it. */
  protected passToClient(code: number, bytes: Buffer): void {
    this.toDownstream.data(code, bytes)
  }

  wake(purpose: WakePurpose): void {
    if (purpose === 'flush') this.flush()
  }

  /** The command that runs has said more than it may. */
  capReached(): void {
    this.end({ outcome: 'failed', tags: [], errorCode: 'limit' })
    this.hangUp('upstream')
    this.hangUp('downstream')
  }

  /** The time to decide on what is held back has come. */
  flush(): void {
    this.running?.output.flush()
  }

  data(from: Side, code: number, bytes: Buffer): void {
    const flow = this.flowFrom(from)
    flow.arrived(bytes.length)
    if (from === 'downstream') this.fromClient(code, bytes)
    else this.fromTarget(code, bytes)
  }

  protected fromClient(code: number, bytes: Buffer): void {
    // Clients have no extended data to send (RFC 4254 section 5.2): it goes nowhere.
    if (code === 0) this.toUpstream.data(0, bytes)
    else this.toUpstream.grant()
  }

  protected fromTarget(code: number, bytes: Buffer): void {
    const output = this.running?.output
    if (output === undefined || code > 1) this.toDownstream.grant()
    else output.write(code, bytes)
  }

  eof(from: Side): void {
    const flow = this.flowFrom(from)
    if (flow.isEofReceived || flow.isCloseReceived) return
    flow.isEofReceived = true
    if (from === 'upstream') this.flush()
    flow.eof()
  }

  adjust(from: Side, bytes: number): void {
    this.flowTo(from).adjust(bytes)
  }

  close(from: Side): void {
    const flow = this.flowFrom(from)
    if (flow.isCloseReceived) return
    flow.isCloseReceived = true
    if (from === 'upstream') this.flush()
    const back = this.flowTo(from)
    back.isDiscarding = true
    back.dropData()
    // A target's CLOSE is answered at once. A client's only with the target's: until then its exit status may come, which
    // clients wait for though they have closed already.
    if (from === 'upstream') {
      back.isBlocked = false
      back.close()
    }
    if (from === 'downstream' && (flow.isBlocked || (this.kind === 'session' && !flow.isEofReceived))) {
      // A client that closes before its end has broken off: what it sent and nobody read is not waited for.
      flow.drop()
      flow.isBlocked = false
    }
    flow.close()
    if (from === 'upstream') this.end()
  }

  /** Closes our end towards a side, behind what is still to be sent there. */
  hangUp(side: Side): void {
    const flow = this.flowTo(side)
    if (side === 'upstream') flow.drop()
    flow.isBlocked = false
    this.flowFrom(side).isDiscarding = true
    flow.close()
  }

  request(from: Side, message: RequestMessage): void {
    // Only session channels have requests.
    if (message.wantsReply) this.replyTo(from, false)
  }

  protected replyTo(from: Side, isSuccess: boolean): void {
    const flow = this.flowTo(from)
    if (flow.recipient === undefined || flow.isCloseSent) return
    const number = isSuccess ? SSH_MESSAGE.CHANNEL_SUCCESS : SSH_MESSAGE.CHANNEL_FAILURE
    this.host.send(from, channelMessage(number, flow.recipient))
  }

  /** Returns false where no reply was awaited. */
  reply(_from: Side, _isSuccess: boolean): boolean {
    return false
  }

  /** What runs is over: says so, once. */
  protected end(how?: Ending): void {
    const { running } = this
    if (running === undefined) return
    this.running = undefined
    if (running.isShared) return
    this.host.answer(running.id, {
      ...(how ?? { outcome: 'completed', tags: [] }),
      rows: 0,
      bytes: running.output.bytes,
    })
  }

  /** The session is over, for a reason from outside. */
  shutdown(denial: Denial): void {
    if (this.#state === 'opening') {
      // Where the other side was asked, its answer is still to come.
      if (!this.#isAsked) this.fail(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, denial.message)
      return
    }
    this.end({ outcome: 'interrupted', tags: [] })
    this.hangUp('downstream')
    this.hangUp('upstream')
  }

  /** The connection ends. */
  abandon(): void {
    this.end({ outcome: 'interrupted', tags: [] })
  }
}
