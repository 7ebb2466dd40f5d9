import { SallyportError, type Side } from '../../core/index.js'
import type { PacketBuffers } from './packet-buffers.js'
import { PacketWriter } from './packet-writer.js'
import {
  decryptsInPlace,
  keepUnfinishedPacket,
  type NegotiatedAlgorithms,
  type Ssh2Protocol,
  type SshSocket,
} from './ssh2.js'

const FIRST_OF_CONNECTION_PROTOCOL = 80
/** Below: requests of the connection, which are mostly signs of life. */
const FIRST_OF_CHANNELS = 90
const CHANNEL_DATA = 94
const CHANNEL_EXTENDED_DATA = 95
const SSH_MSG_DISCONNECT = 1
const DISCONNECT_BY_APPLICATION = 11
const DISCONNECT_PROTOCOL_ERROR = 2

/**
 * What each side may send before it is let in, or has let us in: transport messages, key exchange, and its own half of
 * authentication. A client that says USERAUTH_SUCCESS, or opens a channel early, is no client.
 */
const EARLY_OF_CLIENT = new Set([1, 2, 3, 4, 5, 7, 50, 61])
const EARLY_OF_TARGET = new Set([1, 2, 3, 4, 6, 7, 51, 52, 53, 60])
/** Afterwards: transport messages only. */
const LATE = new Set([1, 2, 3, 4])
const SSH_MSG_KEXINIT = 20
const LAST_OF_KEY_EXCHANGE = 49
const SSH_MSG_USERAUTH_REQUEST = 50

export interface TransportHandler {
  /** A message of the connection protocol. Channel data is lent until the call returns, others are given away. */
  receive(payload: Buffer): void
  /** All that came in one read was passed on. */
  settled(): void
  drained(): void
}

/**
 * An encrypted connection whose messages of the connection protocol go to a handler of ours, and of which ssh2 sees the
 * rest.
 *
 * INVARIANT: before both sides have authenticated no message of the connection protocol is passed on.
 */
export class SshTransport {
  readonly side: Side
  readonly socket: SshSocket
  readonly #protocol: Ssh2Protocol
  readonly #buffers: PacketBuffers
  readonly #writer: PacketWriter
  #couldLend = false
  #handler: TransportHandler | undefined
  #isAuthenticated = false
  #isClosed = false
  /** Of channels: an idle session has none. */
  receivedBytes = 0
  /** Counts what came in, of any kind: a sign of life. */
  packets = 0
  #bytesSinceKeys = 0
  /** Bytes that wait for the end of a key exchange, which ssh2 keeps without a limit. */
  #queuedBytes = 0

  constructor(side: Side, socket: SshSocket, protocol: Ssh2Protocol, buffers: PacketBuffers) {
    this.side = side
    this.socket = socket
    this.#protocol = protocol
    this.#buffers = buffers
    this.#writer = new PacketWriter(socket, protocol, buffers)
    this.#watchKeyExchange()
    const original = protocol._onPayload
    protocol._onPayload = (payload) => {
      // What comes in the same read behind the end is nobody's.
      if (this.#isClosed) return undefined
      const number = payload[0] ?? 0
      this.packets++
      if (number < FIRST_OF_CONNECTION_PROTOCOL) {
        if (!this.#isExpected(number)) return this.#unexpected(number)
        // Passed over, as those who ask more than once at a time expect (RFC 4252 section 5.3).
        if (number === SSH_MSG_USERAUTH_REQUEST && this.#isAuthenticated) return undefined
        // ssh2 keeps some of these, and what it got may be lent.
        return original(Buffer.from(payload))
      }
      if (!this.#isAuthenticated || this.#handler === undefined) return this.#unexpected(number)
      protocol._onPacket()
      if (number >= FIRST_OF_CHANNELS) this.receivedBytes += payload.length
      this.#handler.receive(
        number === CHANNEL_DATA || number === CHANNEL_EXTENDED_DATA ? payload : Buffer.from(payload),
      )
      return undefined
    }
    // Behind ssh2's own listener: it has read the whole chunk by then.
    socket.on('drain', () => this.#handler?.drained())
  }

  /**
   * What ssh2 does not insist on. Messages of a key exchange go past `_onPayload`, to a handler of its own, which skips packets
   * without a payload: with strict key exchange nothing may be put in unnoticed.
   */
  #watchKeyExchange(): void {
    const protocol = this.#protocol
    const refuseEmpty = (): void => {
      const decipher = protocol._decipher
      if (decipher === undefined) return
      const original = decipher._onPayload
      decipher._onPayload = (payload) => {
        if (this.#isClosed) return undefined
        return payload.length === 0 ? this.#violation('a packet of a key exchange is empty') : original(payload)
      }
    }
    // A client's first line has been read by now, a target's has not.
    if (protocol._decipher === undefined) {
      const header = protocol._onHeader
      protocol._onHeader = (line) => {
        refuseEmpty()
        header(line)
      }
    } else {
      refuseEmpty()
    }
    const completed = protocol._onHandshakeComplete
    protocol._onHandshakeComplete = (negotiated) => {
      if (this.#isClosed) return
      if (protocol._strictMode !== true && needsStrictKeyExchange(negotiated)) {
        this.#violation('these algorithms need strict key exchange')
        return
      }
      completed(negotiated)
    }
  }

  #isExpected(number: number): boolean {
    if (number === SSH_MSG_KEXINIT) return true
    // While keys are exchanged these do not come here.
    if (number > SSH_MSG_KEXINIT && number <= LAST_OF_KEY_EXCHANGE) return false
    if (this.#isAuthenticated)
      return LATE.has(number) || (this.side === 'downstream' && number === SSH_MSG_USERAUTH_REQUEST)
    return (this.side === 'downstream' ? EARLY_OF_CLIENT : EARLY_OF_TARGET).has(number)
  }

  #unexpected(number: number): undefined {
    return this.#violation(
      `message ${number} is not expected ${this.#isAuthenticated ? 'any more' : 'before authentication'}`,
    )
  }

  #violation(what: string): undefined {
    const code = this.side === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation'
    this.failure ??= new SallyportError(code, what)
    this.disconnect('protocol error', DISCONNECT_PROTOCOL_ERROR)
    return undefined
  }

  /** Why it was closed, where the other side is to blame. */
  failure: SallyportError | undefined

  /** From here on messages of the connection protocol are passed on. */
  open(handler: TransportHandler): void {
    this.#isAuthenticated = true
    this.#handler = handler
    // Behind ssh2's own listener: it has read the whole chunk by then.
    this.socket.on('data', (chunk: Buffer) => {
      this.#keysExchanged()
      this.#handler?.settled()
      this.#doneWith(chunk)
    })
  }

  /** What a target sends is in memory that is used again; a client's comes in memory of its own. */
  #doneWith(chunk: Buffer): void {
    const { canLend } = this
    if (this.side === 'downstream' && canLend && this.#couldLend) {
      this.returnLent(chunk)
      this.#buffers.disposal.dispose(chunk)
    }
    // ssh2 keeps some of what it reads while keys are exchanged, and that may begin or end inside of a chunk.
    this.#couldLend = canLend
  }

  get isFull(): boolean {
    return this.socket.writableNeedDrain || this.#queuedBytes > 0
  }

  /** What waits for the socket, and for the end of a key exchange. */
  get unsentBytes(): number {
    return this.socket.writableLength + this.#queuedBytes
  }

  /** Nothing that comes in is kept, once {@link SshTransport.returnLent} was called. */
  get canLend(): boolean {
    return !this.isExchangingKeys && decryptsInPlace(this.#protocol._decipher)
  }

  /** The memory of a chunk is about to be used again. */
  returnLent(chunk: Buffer): void {
    keepUnfinishedPacket(this.#protocol._decipher, chunk)
  }

  /** Until it is over, the other side of the transport may have nothing but its keys to send. */
  get isExchangingKeys(): boolean {
    return this.#protocol._kexinit !== undefined
  }

  #keysExchanged(): void {
    if (this.#queuedBytes === 0 || this.isExchangingKeys) return
    this.#queuedBytes = 0
    if (!this.socket.writableNeedDrain) this.#handler?.drained()
  }

  /**
   * Sends one message. Several of one turn leave in one write.
   *
   * @param body the rest of the message, where it is in two pieces
   */
  send(payload: Uint8Array, body?: Uint8Array): void {
    if (this.#isClosed || !this.socket.writable) return
    const bytes = payload.length + (body?.length ?? 0)
    this.#bytesSinceKeys += bytes
    if (this.isExchangingKeys) this.#queuedBytes += bytes
    this.#writer.send(payload, body)
  }

  /** New keys, once so much was sent with the old ones. */
  rekeyAfter(bytes: number): void {
    if (this.#bytesSinceKeys < bytes || this.#isClosed) return
    this.#bytesSinceKeys = 0
    this.#protocol.rekey()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Says why, then closes. */
  disconnect(message: string, reason: number = DISCONNECT_BY_APPLICATION): void {
    if (this.#isClosed) return
    const text = Buffer.from(message).subarray(0, 1_024)
    const payload = Buffer.alloc(1 + 4 + 4 + text.length + 4)
    payload[0] = SSH_MSG_DISCONNECT
    payload.writeUInt32BE(reason, 1)
    payload.writeUInt32BE(text.length, 5)
    payload.set(text, 9)
    try {
      this.send(payload)
    } catch {
      // Keys are being exchanged for the first time, or the socket is gone: it is closed without a word.
    }
    this.#isClosed = true
    this.socket.end()
  }

  destroy(): void {
    this.#isClosed = true
    this.socket.destroy()
  }
}

/**
 * Of these a prefix of the encrypted messages can be cut off where sequence numbers go on through the first exchange
 * (CVE-2023-48795). AES-GCM counts by itself, and MACs over the plain text do not let the stream be cut.
 */
function needsStrictKeyExchange({ cs, sc }: NegotiatedAlgorithms): boolean {
  return [cs, sc].some(({ cipher, mac }) => cipher.startsWith('chacha20') || mac.includes('-etm@'))
}
