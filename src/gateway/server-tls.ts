import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { SallyportError, type TlsInfo } from '../core/index.js'
import type { ListenerTls } from './types.js'

/** A client has this long for its TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** TLS on accepted sockets, from the first byte or after an agreement in the clear. */
export class ServerTls {
  readonly #server: Server
  readonly #pending = new Map<string, (socket: TLSSocket) => void>()
  readonly #asksForCertificate: boolean

  /** @param alpn names that a client may ask for; one that offers only others is refused */
  constructor(options: ListenerTls, alpn: readonly string[]) {
    this.#asksForCertificate = options.clientCa !== undefined
    // A server that never listens: it is handed sockets one by one, and checks client certificates the public way.
    this.#server = createServer({
      key: options.key,
      cert: options.cert,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: [...alpn],
      requestCert: this.#asksForCertificate,
      // Whether a certificate is needed is for the identity layer to say; one that does not verify counts as none.
      rejectUnauthorized: false,
      ...(options.clientCa === undefined ? {} : { ca: options.clientCa }),
    })
    this.#server.on('secureConnection', (socket) => {
      const found = this.#pending.get(addressOf(socket))
      if (found === undefined) socket.destroy()
      else found(socket)
    })
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy())
  }

  /**
   * Shakes hands on an accepted socket. Bytes that the socket has read but not given out yet count as the
   * handshake's: put back only what is.
   *
   * @throws SallyportError `protocol_violation`
   */
  start(socket: Socket): Promise<{ readonly stream: TLSSocket; readonly info: TlsInfo }> {
    const address = addressOf(socket)
    return new Promise((resolve, reject) => {
      const fail = (cause?: unknown): void => {
        this.#pending.delete(address)
        reject(new SallyportError('protocol_violation', 'the TLS handshake with the client failed', { cause }))
      }
      if (socket.destroyed) return fail()
      socket.once('close', fail)
      socket.once('error', fail)
      this.#pending.set(address, (stream) => {
        this.#pending.delete(address)
        socket.off('close', fail)
        socket.off('error', fail)
        resolve({ stream, info: this.#infoOf(stream) })
      })
      this.#server.emit('connection', socket)
    })
  }

  #infoOf(stream: TLSSocket): TlsInfo {
    const isVerified = this.#asksForCertificate && stream.authorized
    const name: unknown = isVerified ? stream.getPeerCertificate().subject?.CN : undefined
    return {
      isVerified,
      // A certificate with several common names says nothing certain.
      ...(typeof name === 'string' ? { peerName: name } : {}),
      ...(typeof stream.alpnProtocol === 'string' ? { alpn: stream.alpnProtocol } : {}),
    }
  }
}

function addressOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`
}
