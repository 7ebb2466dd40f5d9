import type { Duplex } from 'node:stream'
import {
  SallyportError,
  type Protocol,
  type Resource,
  type Subject,
  type TlsInfo,
  type UpstreamCredentials,
} from '../core/index.js'
import type { Session, SessionOptions } from '../enforcement/types.js'
import type { Identity } from '../identity/types.js'
import { Driver } from './driver.js'
import type { AdmittedClient, CatalogSource, DriverObserver } from './driver-types.js'
import { DuplexPeer } from './duplex-peer.js'
import { protocolContext } from './guard.js'
import { StreamPeer } from './stream-peer.js'

/** A way to the target. `gateway` has one over TCP and TLS. */
export interface UpstreamTransport {
  connect(): Duplex | Promise<Duplex>
  /** Given: TLS is required upstream. Rejects when the target cannot be trusted. */
  startTls?(plain: Duplex): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }>
}

/** Whoever opens sessions: an enforcer. */
export interface SessionOpener {
  openSession(options: SessionOptions): Session | Promise<Session>
}

/** Either a session that is open already, or what it takes to open one. */
export type GuardedSession =
  | { readonly session: Session }
  | { readonly enforcer: SessionOpener; readonly subject: Subject; readonly resource: Resource }

export type GuardedStreamOptions = GuardedSession &
  UpstreamTransport & {
    readonly protocol: Protocol
    /** What the target wants to see. The client above never gets to know it. */
    readonly credentials:
      | UpstreamCredentials
      | ((client: AdmittedClient) => UpstreamCredentials | Promise<UpstreamCredentials>)
    /** For columns' origins. Without one, a masked result whose columns' origin matters is treated as coming from anywhere. */
    readonly catalog?: CatalogSource
    readonly observer?: DriverObserver
  }

/**
 * A stream to put under a database client in the same process, in place of its socket. The client logs in
 * without a password; who it acts for is settled by the session.
 *
 * @example
 * const client = new pg.Client({ user: 'agent', database: 'shop', stream: () => guardedStream({ protocol, session, connect, credentials }) })
 * @example
 * const sql = postgres({ user: 'agent', database: 'shop', socket: () => guardedStream({ protocol, session, connect, credentials }) })
 */
export function guardedStream(options: GuardedStreamOptions): GuardedStream {
  return new GuardedStream(options)
}

/** A Duplex with the few methods of `net.Socket` that database clients call on their transport. */
export class GuardedStream extends DuplexPeer {
  readonly driver: Driver
  /** Always false: the way to the target is opened by the guard, after log-in. */
  readonly connecting = false

  constructor(options: GuardedStreamOptions) {
    super('downstream')
    const { protocol, credentials, catalog, observer } = options
    const subject = 'session' in options ? options.session.subject : options.subject
    const resource = 'session' in options ? options.session.resource : options.resource
    let peer: StreamPeer | undefined
    const driver = new Driver({
      connection: protocol.createConnection(
        protocolContext({
          isInProcess: true,
          downstreamTls: 'unavailable',
          upstreamTls: options.startTls === undefined ? 'unavailable' : 'required',
        }),
      ),
      protocol: protocol.name,
      resource,
      downstream: this.peer,
      ports: {
        identity: subjectIdentity(subject),
        openSession: (client) =>
          'session' in options
            ? options.session
            : options.enforcer.openSession({ subject, resource, clientName: client.user }),
        async connect(client) {
          const leased = typeof credentials === 'function' ? await credentials(client) : credentials
          const opened = new StreamPeer(await options.connect())
          peer = opened
          return { peer: opened, credentials: leased, start: () => opened.bind(driver, 'upstream') }
        },
        async startTls(side) {
          if (side === 'downstream' || peer === undefined || options.startTls === undefined) {
            throw new SallyportError('internal', 'TLS was agreed on where none can be had')
          }
          const plain = peer.release()
          if (plain.readableLength > 0) {
            // Fails closed: these bytes came in the clear, and would be read as if TLS had protected them.
            throw new SallyportError(
              'upstream_protocol_violation',
              'bytes arrived in the clear after TLS was agreed on',
            )
          }
          const started = await options.startTls(plain)
          peer.replace(started.stream)
          return started.info
        },
        ...(catalog === undefined ? {} : { catalog: () => catalog }),
      },
      ...(observer === undefined ? {} : { observer }),
    })
    this.driver = driver
    this.bind(driver)
  }

  get readyState(): 'open' | 'closed' {
    return this.destroyed || this.writableEnded ? 'closed' : 'open'
  }

  /** Emits `connect`: there is nothing to dial on this side. Port and host are ignored. */
  connect(..._where: readonly unknown[]): this {
    process.nextTick(() => {
      if (!this.destroyed) this.emit('connect')
    })
    return this
  }

  setNoDelay(_isOn?: boolean): this {
    return this
  }

  setKeepAlive(_isOn?: boolean, _delayMs?: number): this {
    return this
  }

  setTimeout(_delayMs: number, _listener?: () => void): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

/** Whoever holds the stream is the subject: the code that made it said so. */
function subjectIdentity(subject: Subject): Identity {
  return {
    challenge: () => ({ method: 'none' }),
    authenticate: () => ({ isAdmitted: true, subject }),
  }
}
