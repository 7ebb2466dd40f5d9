import { SallyportError, type Side } from '../../core/index.js'
import { sendPayload, type Ssh2Protocol, type SshSocket } from './ssh2.js'

const FIRST_OF_CONNECTION_PROTOCOL = 80
/** Below: requests of the connection, which are mostly signs of life. */
const FIRST_OF_CHANNELS = 90
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
const LATE = new Set([1, 2, 3, 4, 7])

export interface TransportHandler {
  /** A message of the connection protocol. */
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
  #handler: TransportHandler | undefined
  #isAuthenticated = false
  #isClosed = false
  #isCorked = false
  /** Of channels: an idle session has none. */
  receivedBytes = 0
  /** Counts what came in, of any kind: a sign of life. */
  packets = 0
  #bytesSinceKeys = 0
  /** Bytes that wait for the end of a key exchange, which ssh2 keeps without a limit. */
  #queuedBytes = 0

  constructor(side: Side, socket: SshSocket, protocol: Ssh2Protocol) {
    this.side = side
    this.socket = socket
    this.#protocol = protocol
    const original = protocol._onPayload
    protocol._onPayload = (payload) => {
      const number = payload[0] ?? 0
      this.packets++
      if (number < FIRST_OF_CONNECTION_PROTOCOL) {
        if (!this.#isExpected(number)) return this.#violation(number)
        return original(payload)
      }
      if (!this.#isAuthenticated || this.#handler === undefined) return this.#violation(number)
      protocol._onPacket()
      if (this.#isClosed) return undefined
      if (number >= FIRST_OF_CHANNELS) this.receivedBytes += payload.length
      this.#handler.receive(payload)
      return undefined
    }
    // Behind ssh2's own listener: it has read the whole chunk by then.
    socket.on('drain', () => this.#handler?.drained())
  }

  #isExpected(number: number): boolean {
    // Key exchange, at any time.
    if (number >= 20 && number < 50) return true
    if (this.#isAuthenticated) return LATE.has(number) || (this.side === 'downstream' && number === 50)
    return (this.side === 'downstream' ? EARLY_OF_CLIENT : EARLY_OF_TARGET).has(number)
  }

  #violation(number: number): undefined {
    const error = new SallyportError(
      this.side === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
      `message ${number} is not expected ${this.#isAuthenticated ? 'any more' : 'before authentication'}`,
    )
    this.failure ??= error
    this.disconnect('protocol error', DISCONNECT_PROTOCOL_ERROR)
    return undefined
  }

  /** Why it was closed, where the other side is to blame. */
  failure: SallyportError | undefined

  /** From here on messages of the connection protocol are passed on. */
  open(handler: TransportHandler): void {
    this.#isAuthenticated = true
    this.#handler = handler
    this.socket.on('data', () => {
      this.#keysExchanged()
      this.#handler?.settled()
    })
  }

  get isFull(): boolean {
    return this.socket.writableNeedDrain || this.#queuedBytes > 0
  }

  /** What waits for the socket, and for the end of a key exchange. */
  get unsentBytes(): number {
    return this.socket.writableLength + this.#queuedBytes
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

  /** Sends one message. Several of one turn leave in one write. */
  send(payload: Uint8Array): void {
    if (this.#isClosed || !this.socket.writable) return
    this.#cork()
    this.#bytesSinceKeys += payload.length
    if (this.isExchangingKeys) this.#queuedBytes += payload.length
    sendPayload(this.#protocol, payload)
  }

  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.socket.uncork()
    })
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
