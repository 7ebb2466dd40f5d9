import { Fifo, otherSide, SallyportError, type Side } from '../../core/index.js'
import { SSH_MESSAGE } from './message-types.js'
import { channelMessage, channelRequest, dataHead, windowAdjust } from './messages.js'
import { MAX_PACKET_BYTES } from './options.js'

/** What may wait here for a receiver's window. */
const MAX_AHEAD_BYTES = 262_144

export type FlowItem =
  | { readonly type: 'data'; readonly code: number; bytes: Buffer }
  | { readonly type: 'request'; readonly name: string; readonly data: Buffer }
  | { readonly type: 'eof' }
  | { readonly type: 'close' }

export interface FlowPort {
  /** @param body of channel data: what follows `payload`, lent until the port has been emptied */
  send(to: Side, payload: Buffer, body?: Buffer): void
  /** The side's transport has more to send than it can: it should be given nothing to ask for more. */
  isFull(side: Side): boolean
}

/**
 * One direction of one channel: what `from` sends, passed on to the other side as far as its window goes.
 *
 * Two windows meet here. `#receiveWindow` is what `from` may still send to us; `#sendWindow` what we may send on. A grant
 * goes out only for what has left the queue, so that the queue never holds more than `maxWindowBytes`, and no grant goes
 * out while the receiving transport is full. Data, requests, EOF and CLOSE stay in their order.
 */
export class Flow {
  readonly from: Side
  readonly to: Side
  readonly #port: FlowPort
  readonly #items = new Fifo<FlowItem>()
  /** Bytes in `#items`. */
  queuedBytes = 0
  /** Bytes that wait elsewhere before they come here, such as in a masker: they count against the window. */
  heldBackBytes = 0
  /** Somebody who stands between wants no more for now: no grants. */
  isPaused = false
  #maxWindowBytes: number
  #receiveWindow: number
  #sender: number | undefined
  #recipient: number | undefined
  #sendWindow = 0
  #maxPacketBytes = 0
  /** Nothing but what we say ourselves passes. */
  isBlocked = false
  /** The receiver has closed: what still comes for it goes nowhere. */
  isDiscarding = false
  isEofReceived = false
  isCloseReceived = false
  isEofSent = false
  isCloseSent = false

  /** @param windowBytes what `from` has been, or will be, told that it may send */
  constructor(from: Side, windowBytes: number, port: FlowPort) {
    this.from = from
    this.to = otherSide(from)
    this.#port = port
    this.#maxWindowBytes = windowBytes
    this.#receiveWindow = windowBytes
  }

  get windowBytes(): number {
    return this.#receiveWindow
  }

  /** What the receiver takes to begin with. Before `from` has been told anything: it gets no more than can soon be passed on. */
  limitTo(receiverWindowBytes: number): void {
    this.#receiveWindow = Math.min(this.#receiveWindow, receiverWindowBytes + MAX_AHEAD_BYTES)
  }

  /** `from` has told its number for the channel. */
  knowSender(sender: number): void {
    this.#sender = sender
  }

  /** The receiving side has opened its end. */
  open(recipient: number, windowBytes: number, maxPacketBytes: number): void {
    this.#recipient = recipient
    this.#sendWindow = windowBytes
    this.#maxPacketBytes = Math.min(maxPacketBytes, MAX_PACKET_BYTES)
    this.pump()
  }

  /** The receiver's number for the channel, once it has opened its end. */
  get recipient(): number | undefined {
    return this.#recipient
  }

  /** More may be on the way at a time from here on. */
  widen(windowBytes: number): void {
    this.#maxWindowBytes = windowBytes
    this.grant()
  }

  /** Counts data that came in. @throws SallyportError when there was no room for it */
  arrived(bytes: number): void {
    if (bytes > this.#receiveWindow || this.isEofReceived || this.isCloseReceived) {
      throw new SallyportError(
        this.from === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
        this.isEofReceived || this.isCloseReceived ? 'data came after the end of a channel' : 'data overran its window',
      )
    }
    this.#receiveWindow -= bytes
  }

  /** The receiver may be sent so much more. @throws SallyportError for a window of more than 32 bits */
  adjust(bytes: number): void {
    this.#sendWindow += bytes
    if (this.#sendWindow > 0xffff_ffff) {
      throw new SallyportError(
        this.to === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
        'a window grew beyond its maximum',
      )
    }
    this.pump()
  }

  /**
   * Passes data on as far as there is room, and keeps a copy of the rest.
   *
   * @param bytes lent
   */
  data(code: number, bytes: Buffer): void {
    if (bytes.length === 0 || this.isDiscarding || this.isCloseSent) {
      this.grant()
      return
    }
    const recipient = this.#recipient
    let rest = bytes
    if (this.#items.length === 0 && !this.isBlocked && recipient !== undefined) {
      rest = this.#sendPieces(recipient, code, bytes)
    }
    if (rest.length > 0) {
      this.#items.push({ type: 'data', code, bytes: Buffer.from(rest) })
      this.queuedBytes += rest.length
    }
    this.grant()
  }

  request(name: string, data: Buffer): void {
    this.#put({ type: 'request', name, data })
  }

  eof(): void {
    this.#put({ type: 'eof' })
  }

  close(): void {
    this.#put({ type: 'close' })
  }

  #put(item: FlowItem): void {
    if (this.isCloseSent) return
    this.#items.push(item)
    this.pump()
  }

  /** Gives away everything that waits, for somebody who puts it in again in another form. */
  takeAll(): FlowItem[] {
    const taken: FlowItem[] = []
    for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) taken.push(item)
    this.queuedBytes = 0
    return taken
  }

  /** Lets go of data that waits. */
  dropData(): void {
    for (const item of this.takeAll()) if (item.type !== 'data') this.#items.push(item)
    this.pump()
  }

  /** Lets go of everything that waits. */
  drop(): void {
    this.takeAll()
  }

  /** Sends what may be sent. */
  pump(): void {
    const recipient = this.#recipient
    if (recipient === undefined) return
    for (let item = this.#next(); item !== undefined; item = this.#next()) {
      if (item.type === 'data') {
        if (!this.#sendData(recipient, item)) break
        continue
      }
      this.#items.shift()
      if (item.type === 'request') {
        if (!this.isCloseSent) {
          this.#port.send(this.to, channelRequest(recipient, item.name, item.data, { wantsReply: false }))
        }
      } else if (item.type === 'eof') {
        this.#sendEof(recipient)
      } else {
        this.#sendClose(recipient)
      }
    }
    this.grant()
  }

  #next(): FlowItem | undefined {
    return this.isBlocked ? undefined : this.#items.peek()
  }

  #sendData(recipient: number, item: Extract<FlowItem, { type: 'data' }>): boolean {
    const rest = this.#sendPieces(recipient, item.code, item.bytes)
    this.queuedBytes -= item.bytes.length - rest.length
    item.bytes = rest
    if (rest.length > 0) return false
    this.#items.shift()
    return true
  }

  /** Sends as much as the window takes, and returns the rest. */
  #sendPieces(recipient: number, code: number, bytes: Buffer): Buffer {
    let at = 0
    while (at < bytes.length) {
      const count = Math.min(bytes.length - at, this.#sendWindow, this.#maxPacketBytes)
      if (count === 0) break
      this.#port.send(this.to, dataHead(recipient, code, count), bytes.subarray(at, at + count))
      this.#sendWindow -= count
      at += count
    }
    return bytes.subarray(at)
  }

  #sendEof(recipient: number): void {
    if (this.isEofSent || this.isCloseSent) return
    this.isEofSent = true
    this.#port.send(this.to, channelMessage(SSH_MESSAGE.CHANNEL_EOF, recipient))
  }

  #sendClose(recipient: number): void {
    if (this.isCloseSent) return
    this.isCloseSent = true
    this.drop()
    this.#port.send(this.to, channelMessage(SSH_MESSAGE.CHANNEL_CLOSE, recipient))
  }

  /**
   * Lets `from` send more, for what has been passed on. Called again when a transport has room: see {@link FlowPort.isFull}.
   * In big steps: a message for every packet would cost more than it is worth.
   *
   * What the receiver has no window for would only pile up here: beyond that there is a little, so that it need not wait for
   * the sender once it takes more.
   */
  grant(): void {
    if (this.#sender === undefined || this.isPaused || this.isEofReceived || this.isCloseReceived || this.isDiscarding)
      return
    const wanted = Math.min(this.#maxWindowBytes, this.#sendWindow + MAX_AHEAD_BYTES)
    const room = wanted - this.#receiveWindow - this.queuedBytes - this.heldBackBytes
    if (room * 2 < wanted || this.#port.isFull(this.to)) return
    this.#receiveWindow += room
    this.#port.send(this.from, windowAdjust(this.#sender, room))
  }
}
