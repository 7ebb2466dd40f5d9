import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls'
import { SallyportError, type TlsInfo } from '../core/index.js'
import type { UpstreamTransport } from '../streams/guarded-stream.js'
import type { Target } from './types.js'

const CONNECT_TIMEOUT_MS = 10_000

/** Whether this target is spoken to inside TLS. */
export function usesTls(target: Target): boolean {
  return target.tls !== undefined && target.tls.mode !== 'disable'
}

/**
 * Opens a TCP connection to the target.
 *
 * @param onread where given, chunks go there instead of to `data` events
 * @throws SallyportError `upstream_unavailable`
 */
export function connectTarget(target: Target, onread?: OnReadOpts): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({
      host: target.host,
      port: target.port,
      noDelay: true,
      keepAlive: true,
      ...(onread === undefined ? {} : { onread }),
    })
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(new SallyportError('upstream_unavailable', 'the target could not be reached', { cause }))
    }
    const timer = setTimeout(() => fail(new Error('timeout')), target.connectTimeoutMs ?? CONNECT_TIMEOUT_MS)
    socket.once('error', fail)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

/**
 * Puts TLS on a connection to the target. With `verify-full` the certificate must be trusted and carry the
 * target's name, or this fails before a byte of ours is sent inside.
 *
 * @throws SallyportError `upstream_tls_required`
 */
export function startTargetTls(
  plain: Duplex,
  target: Target,
): Promise<{ readonly stream: TLSSocket; readonly info: TlsInfo }> {
  const { tls } = target
  if (tls === undefined || tls.mode === 'disable') {
    return Promise.reject(new SallyportError('internal', 'TLS was agreed on with a target that has none'))
  }
  if (plain.readableLength > 0) {
    // Fails closed: these bytes came in the clear, and would be read as if TLS had protected them.
    plain.destroy()
    const error = new SallyportError(
      'upstream_protocol_violation',
      'bytes arrived in the clear after TLS was agreed on',
    )
    return Promise.reject(error)
  }
  const isVerified = tls.mode === 'verify-full'
  const name = tls.serverName ?? target.host
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket: plain,
      host: name,
      // A name in the handshake must not be an address (RFC 6066 section 3).
      ...(isIP(name) === 0 ? { servername: name } : {}),
      rejectUnauthorized: isVerified,
      checkServerIdentity: (host, certificate) => (isVerified ? checkServerIdentity(host, certificate) : undefined),
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['postgresql'],
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
    })
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      secure.destroy()
      const message = 'TLS with the target could not be established, or its certificate does not verify'
      reject(new SallyportError('upstream_tls_required', message, { cause }))
    }
    const closed = (): void => fail(new Error('closed during the handshake'))
    const timer = setTimeout(() => fail(new Error('timeout')), target.connectTimeoutMs ?? CONNECT_TIMEOUT_MS)
    secure.once('error', fail)
    secure.once('close', closed)
    secure.once('secureConnect', () => {
      clearTimeout(timer)
      secure.off('error', fail)
      secure.off('close', closed)
      const certificate = secure.getPeerX509Certificate()
      resolve({
        stream: secure,
        info: {
          isVerified,
          ...(typeof secure.alpnProtocol === 'string' ? { alpn: secure.alpnProtocol } : {}),
          ...(certificate === undefined ? {} : { peerCertificate: certificate.raw }),
        },
      })
    })
  })
}

/** A way to the target for {@link guardedStream}, over TCP and, where the target says so, TLS. */
export function targetTransport(target: Target): UpstreamTransport {
  return {
    connect: () => connectTarget(target),
    ...(usesTls(target) ? { startTls: (plain: Duplex) => startTargetTls(plain, target) } : {}),
  }
}
