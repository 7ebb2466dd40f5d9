import { connect as connectTcp, type Socket } from 'node:net'
import type { AnyAuthMethod, Client } from 'ssh2'
import { SallyportError } from '../../core/index.js'
import { hostKeyError, type HostKeys, type SshCredentials } from '../../credentials/ssh/index.js'
import { sshAlgorithms } from './algorithms.js'
import type { PacketBuffers } from './packet-buffers.js'
import { protocolOf, type Ssh2Module } from './ssh2.js'
import { SshTransport } from './transport.js'
import type { SshTarget } from './types.js'
import { authMethods } from './upstream-auth.js'

export interface UpstreamOptions {
  readonly ssh2: Ssh2Module
  readonly ident: string
  readonly buffers: PacketBuffers
  readonly target: SshTarget
  readonly credentials: SshCredentials
  readonly hostKeys: HostKeys
  /** In the same turn as the target's own word: its next message may follow at once. */
  ready(transport: SshTransport): void
  /** Once: before `ready` it was not reached, afterwards it is gone. */
  closed(error?: SallyportError): void
}

const CONNECT_TIMEOUT_MS = 10_000

/** Connects to the target and logs in. */
export class Upstream {
  readonly #options: UpstreamOptions
  readonly #socket: Socket
  #client: Client | undefined
  #transport: SshTransport | undefined
  #isReady = false
  #isClosed = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: UpstreamOptions) {
    this.#options = options
    const { host, port, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options.target
    const { incoming } = options.buffers
    this.#socket = connectTcp({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      onread: {
        buffer: incoming,
        callback: (bytes) => {
          this.#read(incoming.subarray(0, bytes))
          return true
        },
      },
    })
    this.#timer = setTimeout(
      () => this.#fail('upstream_unavailable', 'the target did not answer in time'),
      connectTimeoutMs,
    )
    const refused = (cause: Error): void => this.#fail('upstream_unavailable', 'the target could not be reached', cause)
    this.#socket.once('error', refused)
    this.#socket.once('connect', () => {
      this.#socket.off('error', refused)
      clearTimeout(this.#timer)
      if (!this.#isClosed) this.#login(connectTimeoutMs)
    })
  }

  /**
   * INVARIANT: `data` events have views of the shared buffer only while nobody keeps what they got: ssh2 does, until keys are
   * exchanged and the log-in is over.
   */
  #read(bytes: Buffer): void {
    const socket = this.#socket
    const transport = this.#transport
    if (
      this.#isReady &&
      transport?.canLend === true &&
      socket.readableFlowing === true &&
      socket.readableLength === 0
    ) {
      socket.emit('data', bytes)
      transport.returnLent(bytes)
    } else {
      socket.push(Buffer.from(bytes))
    }
  }

  #login(timeoutMs: number): void {
    const { ssh2, ident, target, credentials, hostKeys } = this.#options
    const client = new ssh2.Client()
    this.#client = client
    client.on('error', (cause: Error & { readonly level?: string }) => this.#failed(cause))
    client.on('close', () => {
      const { failure } = this.#transport ?? {}
      this.#close(failure ?? (this.#isReady ? undefined : unavailable('the target closed the connection')))
    })
    client.on('ready', () => {
      const transport = this.#transport
      if (this.#isReady || this.#isClosed || transport === undefined) return
      this.#isReady = true
      this.#options.ready(transport)
    })
    let methods: AnyAuthMethod[] | undefined
    client.connect({
      sock: this.#socket,
      ident,
      username: credentials.user,
      algorithms: sshAlgorithms(hostKeys.algorithms(target.host, target.port)),
      readyTimeout: timeoutMs,
      keepaliveInterval: 0,
      hostVerifier: (key: Buffer): boolean => {
        try {
          const verdict = hostKeys.judge({ host: target.host, port: target.port, key })
          if (verdict.isTrusted) {
            methods = authMethods(ssh2, credentials, protocolOf(client))
            return true
          }
          this.#close(hostKeyError(verdict))
        } catch (cause) {
          // Fails closed: a check that throws has verified nothing.
          this.#close(asFailure(cause))
        }
        return false
      },
      // INVARIANT: there is no method, and so no secret, before the host key is verified.
      authHandler: (_left, _isPartial, next) => next(methods?.shift() ?? (false as unknown as AnyAuthMethod)),
    })
    this.#transport = new SshTransport('upstream', this.#socket, protocolOf(client), this.#options.buffers)
  }

  #failed(cause: Error & { readonly level?: string }): void {
    const { failure } = this.#transport ?? {}
    if (failure !== undefined) return this.#close(failure)
    if (cause.level === 'client-authentication') {
      this.#fail('upstream_authentication_failed', "the target did not accept the gateway's credential", cause)
    } else if (this.#isReady) {
      this.#fail('upstream_unavailable', 'the connection to the target failed', cause)
    } else {
      this.#fail('upstream_unavailable', 'the target could not be logged in to', cause)
    }
  }

  #fail(code: 'upstream_unavailable' | 'upstream_authentication_failed', message: string, cause?: unknown): void {
    this.#close(new SallyportError(code, message, cause === undefined ? {} : { cause }))
  }

  #close(error?: SallyportError): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#options.closed(error)
    this.#client?.end()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#socket.on('error', () => {})
    this.#socket.destroy()
  }
}

function unavailable(message: string): SallyportError {
  return new SallyportError('upstream_unavailable', message)
}

function asFailure(cause: unknown): SallyportError {
  if (cause instanceof SallyportError) return cause
  return new SallyportError('upstream_authentication_failed', 'the target could not be logged in to', { cause })
}
