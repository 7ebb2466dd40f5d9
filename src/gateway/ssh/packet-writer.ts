import { PACKET_BUFFER_BYTES, type PacketBuffers } from './packet-buffers.js'
import { encryptsInPlace, sendPayload, type Ssh2Protocol, type SshSocket } from './ssh2.js'

/** uint32 length, byte padding length (RFC 4253 section 6). */
const HEAD_BYTES = 5
const BLOCK_BYTES = 16
const TAG_BYTES = 16
const MIN_PADDING_BYTES = 4

/**
 * Puts messages into packets, and several packets of one turn into one write.
 *
 * INVARIANT: a buffer is written into again only where the socket has nothing of it left to write.
 */
export class PacketWriter {
  readonly #socket: SshSocket
  readonly #protocol: Ssh2Protocol
  readonly #buffers: PacketBuffers
  /** In use; the last one has room from `#used` on. */
  readonly #taken: Buffer[] = []
  #used = PACKET_BUFFER_BYTES
  #isCorked = false
  #cipher: Ssh2Protocol['_cipher'] | undefined
  #isInPlace = false
  readonly #uncork = (): void => {
    this.#isCorked = false
    this.#socket.uncork()
    this.#giveBack()
  }

  constructor(socket: SshSocket, protocol: Ssh2Protocol, buffers: PacketBuffers) {
    this.#socket = socket
    this.#protocol = protocol
    this.#buffers = buffers
    socket.on('drain', () => this.#giveBack())
  }

  /** @param body the rest of the payload, where it is in two pieces */
  send(payload: Uint8Array, body?: Uint8Array): void {
    if (!this.#isCorked) {
      this.#isCorked = true
      this.#socket.cork()
      process.nextTick(this.#uncork)
    }
    const protocol = this.#protocol
    const cipher = protocol._cipher
    // Every exchange of keys brings a new one.
    if (cipher !== this.#cipher) {
      this.#cipher = cipher
      this.#isInPlace = encryptsInPlace(cipher)
    }
    if (this.#isInPlace && protocol._kexinit === undefined) cipher.encrypt(this.#packet(payload, body))
    else sendPayload(protocol, payload, body)
  }

  /** As AES-GCM has it (RFC 5647 section 7.2): all but the length is padded to whole blocks. */
  #packet(payload: Uint8Array, body: Uint8Array | undefined): Buffer {
    const unpadded = 1 + payload.length + (body === undefined ? 0 : body.length)
    let padding = BLOCK_BYTES - (unpadded % BLOCK_BYTES)
    if (padding < MIN_PADDING_BYTES) padding += BLOCK_BYTES
    const packetBytes = unpadded + padding
    const packet = this.#room(4 + packetBytes + TAG_BYTES)
    packet.writeUInt32BE(packetBytes, 0)
    packet[4] = padding
    packet.set(payload, HEAD_BYTES)
    if (body !== undefined) packet.set(body, HEAD_BYTES + payload.length)
    this.#buffers.pad(packet, 4 + unpadded, 4 + packetBytes)
    return packet
  }

  #room(bytes: number): Buffer {
    if (bytes > PACKET_BUFFER_BYTES) return Buffer.allocUnsafe(bytes)
    let buffer = this.#taken.at(-1)
    if (buffer === undefined || this.#used + bytes > PACKET_BUFFER_BYTES) {
      buffer = this.#buffers.take()
      this.#taken.push(buffer)
      this.#used = 0
    }
    const start = this.#used
    this.#used += bytes
    return buffer.subarray(start, this.#used)
  }

  #giveBack(): void {
    if (this.#isCorked || this.#socket.writableLength > 0) return
    for (const buffer of this.#taken) this.#buffers.giveBack(buffer)
    this.#taken.length = 0
    this.#used = PACKET_BUFFER_BYTES
  }
}
