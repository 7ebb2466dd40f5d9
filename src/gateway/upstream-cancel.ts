import type { Duplex } from 'node:stream'
import { SallyportError, type CancelTarget, type Cancellation } from '../core/index.js'
import { connectTarget, startTargetTls, usesTls } from './target.js'
import type { Target } from './types.js'

/** After this the cancel connection is given up: the session's next command does not wait for it any longer. */
const CANCEL_TIMEOUT_MS = 5_000

/**
 * Asks the target to cancel what a session runs, over a connection of its own with the same TLS as the
 * session's. Resolves when the target has closed that connection, which it does after acting on it.
 */
export async function cancelUpstream(target: Target, cancellation: Cancellation, key: CancelTarget): Promise<void> {
  const socket = await connectTarget(target)
  let stream: Duplex = socket
  const timer = setTimeout(() => stream.destroy(), CANCEL_TIMEOUT_MS)
  try {
    if (usesTls(target)) {
      socket.write(cancellation.tlsRequest)
      const answer = await firstByte(socket)
      if (!cancellation.isTlsAccepted(answer)) {
        throw new SallyportError('upstream_tls_required', 'the target does not offer TLS to a cancel request')
      }
      stream = (await startTargetTls(socket, target)).stream
    }
    await new Promise<void>((resolve) => {
      stream.on('error', () => {})
      stream.once('close', resolve)
      stream.resume()
      stream.write(cancellation.message(key))
    })
  } finally {
    clearTimeout(timer)
    stream.destroy()
    socket.destroy()
  }
}

function firstByte(socket: Duplex): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new SallyportError('upstream_unavailable', 'the target closed a cancel connection'))
    socket.once('error', fail)
    socket.once('close', fail)
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      socket.off('error', fail)
      socket.off('close', fail)
      // More than one byte: somebody put words in the clear where TLS is to start.
      if (chunk.length === 1) resolve(chunk[0] as number)
      else fail()
    })
  })
}
