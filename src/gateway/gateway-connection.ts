import type { Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import {
  SallyportError,
  type CancelTarget,
  type Clock,
  type Connection,
  type Denial,
  type RandomBytes,
  type Side,
  type TlsInfo,
} from '../core/index.js'
import type { CredentialLease } from '../credentials/types.js'
import type { Session } from '../enforcement/types.js'
import type { Identity } from '../identity/types.js'
import { Driver } from '../streams/driver.js'
import type { AdmittedClient, CatalogSource, DriverObserver, UpstreamLink } from '../streams/driver-types.js'
import type { SessionOpener } from '../streams/guarded-stream.js'
import { StreamPeer } from '../streams/stream-peer.js'
import type { ReadBuffers } from './read-buffers.js'
import type { ServerTls } from './server-tls.js'
import { connectTarget, startTargetTls, usesTls } from './target.js'
import type { ConnectionInfo, GatewayEvents, GatewayLimits, ResourceOptions } from './types.js'
import { cancelUpstream } from './upstream-cancel.js'
import { UpstreamReader } from './upstream-reader.js'

const TLS_HANDSHAKE = 0x16 // the content type of a TLS record that starts a handshake (RFC 8446 section 5.1)

export interface GatewayConnectionOptions {
  readonly id: number
  readonly socket: Socket
  readonly entry: ResourceOptions
  readonly tls: ServerTls | undefined
  readonly isTlsRequired: boolean
  readonly clientAddress: string
  readonly identity: Identity
  readonly enforcer: SessionOpener
  readonly limits: GatewayLimits
  readonly clock: Clock
  readonly random: RandomBytes
  readonly buffers: ReadBuffers
  issueCancelKey(owner: GatewayConnection): CancelTarget
  cancel(target: CancelTarget): void
  catalog(client: AdmittedClient, session: Session): CatalogSource | undefined
  readonly emit: EventEmitter<GatewayEvents>
}

/** One accepted socket, from its first byte to the end of its session's record. */
export class GatewayConnection {
  readonly cancelKey: CancelTarget
  readonly #options: GatewayConnectionOptions
  readonly #downstream: StreamPeer
  readonly #startedAtUnixMs: number
  #connection: Connection | undefined
  #driver: Driver | undefined
  #upstream: StreamPeer | undefined
  #reader: UpstreamReader | undefined
  #lease: CredentialLease | undefined
  #info: ConnectionInfo
  #isDownstreamTls = false
  #isReady = false
  #isDraining = false
  #drainDenial: Denial | undefined
  #isOver = false
  #isCancelling = false
  #loginTimer: NodeJS.Timeout | undefined
  #seenBytes = -1
  #seenAtUnixMs: number
  #finish: () => void = () => {}
  /** Never rejects. */
  readonly finished: Promise<void>

  constructor(options: GatewayConnectionOptions) {
    this.#options = options
    this.#downstream = new StreamPeer(options.socket)
    this.#startedAtUnixMs = options.clock.nowUnixMs()
    this.#seenAtUnixMs = this.#startedAtUnixMs
    this.#info = { id: options.id, resource: options.entry.resource, clientAddress: options.clientAddress }
    this.cancelKey = options.issueCancelKey(this)
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#loginTimer = setTimeout(() => this.destroy(), options.limits.authenticationTimeoutMs ?? 60_000)
    this.#awaitFirstByte()
  }

  get info(): ConnectionInfo {
    return this.#info
  }

  get isAdmitted(): boolean {
    return this.#driver?.session !== undefined
  }

  readonly #gone = (): void => {
    this.#options.socket.destroy()
    this.#over()
  }

  /** The first byte tells whether TLS comes first; the protocol does not see it before that is settled. */
  #awaitFirstByte(): void {
    const { socket, tls, entry } = this.#options
    socket.once('close', this.#gone)
    socket.once('end', this.#gone)
    socket.once('data', (chunk: Buffer) => {
      socket.off('end', this.#gone)
      const alpn = entry.protocol.directTlsAlpn
      if (tls !== undefined && alpn !== undefined && chunk[0] === TLS_HANDSHAKE) {
        socket.pause()
        socket.unshift(chunk)
        void this.#startDirectTls(tls, alpn)
        return
      }
      socket.off('close', this.#gone)
      // In the same turn, so that no byte gets lost between this listener and the driver's.
      this.#drive().receive('downstream', chunk)
    })
  }

  async #startDirectTls(tls: ServerTls, alpn: readonly string[]): Promise<void> {
    try {
      const { stream, info } = await tls.start(this.#options.socket)
      this.#options.socket.off('close', this.#gone)
      if (info.alpn === undefined || !alpn.includes(info.alpn)) {
        // Fails closed: without a name for what is spoken inside, another protocol's client can be lured here (ALPACA).
        stream.destroy()
        this.destroy()
        return
      }
      this.#isDownstreamTls = true
      this.#downstream.replace(stream)
      this.#drive(info)
    } catch {
      this.destroy()
    }
  }

  /** @param tlsInfo given where TLS came first */
  #drive(tlsInfo?: TlsInfo): Driver {
    const { entry, limits, random, clock, clientAddress, tls, isTlsRequired } = this.#options
    const connection = entry.protocol.createConnection({
      random,
      clock,
      cancelKey: this.cancelKey,
      downstreamTls:
        tlsInfo !== undefined
          ? 'established'
          : tls === undefined
            ? 'unavailable'
            : isTlsRequired
              ? 'required'
              : 'offered',
      upstreamTls: usesTls(entry.target) ? 'required' : 'unavailable',
    })
    this.#connection = connection
    const driver: Driver = new Driver({
      connection,
      protocol: entry.protocol.name,
      resource: entry.resource,
      downstream: this.#downstream,
      clientAddress,
      observer: this.#observer(),
      maxReceivedBytes: {
        ...(limits.maxDownstreamBytes === undefined ? {} : { downstream: limits.maxDownstreamBytes }),
        ...(limits.maxUpstreamBytes === undefined ? {} : { upstream: limits.maxUpstreamBytes }),
      },
      ports: {
        identity: this.#options.identity,
        openSession: (client) =>
          this.#options.enforcer.openSession({
            subject: client.subject,
            resource: entry.resource,
            clientAddress,
          }),
        connect: (client) => this.#connect(driver, client),
        startTls: (side) => this.#startTls(side),
        catalog: (client) =>
          (driver.session === undefined ? undefined : this.#options.catalog(client, driver.session)) ?? UNKNOWN_CATALOG,
        cancel: (target) => this.#options.cancel(target),
        cancelUpstream: () => this.#cancelRunning(() => {}),
      },
    })
    this.#driver = driver
    if (tlsInfo !== undefined) connection.tlsStarted('downstream', tlsInfo)
    this.#downstream.bind(driver, 'downstream')
    void driver.finished.then(() => this.#over())
    return driver
  }

  #observer(): DriverObserver {
    const { emit } = this.#options
    return {
      ready: (client, session) => {
        this.#isReady = true
        clearTimeout(this.#loginTimer)
        this.#info = { ...this.#info, subject: client.subject, sessionId: session.id }
        emit.emit('ready', this.#info, session)
        if (this.#isDraining) this.#drainWhenIdle()
      },
      rejected: (denial, user) => void emit.emit('rejected', this.#info, denial, user),
      judged: (command, judgement) => void emit.emit('judged', this.#info, command, judgement),
      answered: (commandId, answer) => {
        emit.emit('answered', this.#info, commandId, answer)
        if (this.#isDraining) this.#drainWhenIdle()
      },
      refused: (via, denial) => void emit.emit('refused', this.#info, via, denial),
      failed: (error) => void emit.emit('failed', this.#info, error),
    }
  }

  async #connect(driver: Driver, client: AdmittedClient): Promise<UpstreamLink> {
    const { entry, buffers } = this.#options
    const { subject, database } = client
    const lease = await entry.credentials.lease({
      subject,
      resource: entry.resource,
      ...(database === undefined ? {} : { database }),
    })
    if (this.#isOver) {
      await lease.release?.()
      throw new SallyportError('connection_closed', 'the client left before its target was reached')
    }
    this.#lease = lease
    const isPlain = !usesTls(entry.target)
    if (isPlain) {
      this.#reader = new UpstreamReader(
        driver,
        buffers,
        () => this.#downstream.stream,
        () => !this.#isDownstreamTls,
      )
    }
    const socket = await connectTarget(entry.target, this.#reader?.onread)
    const peer = new StreamPeer(socket, { isReadElsewhere: isPlain })
    this.#upstream = peer
    return { peer, credentials: lease.credentials, start: () => peer.bind(driver, 'upstream') }
  }

  async #startTls(side: Side): Promise<TlsInfo> {
    if (side === 'upstream') return this.#startUpstreamTls()
    const { tls, socket } = this.#options
    if (tls === undefined) throw new SallyportError('internal', 'TLS was agreed on where none can be had')
    this.#downstream.release()
    if (socket.readableLength > 0) {
      // Fails closed: these bytes came in the clear, and would be read as if TLS had protected them.
      throw new SallyportError('protocol_violation', 'bytes arrived in the clear after TLS was agreed on')
    }
    const { stream, info } = await tls.start(socket)
    this.#isDownstreamTls = true
    this.#downstream.replace(stream)
    return info
  }

  async #startUpstreamTls(): Promise<TlsInfo> {
    const peer = this.#upstream
    if (peer === undefined) throw new SallyportError('internal', 'no upstream to put TLS on')
    // Node takes no read buffer of ours for TLS on a socket that is open already: chunks come as events.
    const { stream, info } = await startTargetTls(peer.release(), this.#options.entry.target)
    peer.replace(stream)
    return info
  }

  /** Somebody who knows this session's key wants what it does cancelled. */
  cancel(failed: (error: unknown) => void): void {
    this.#driver?.withdrawAll()
    this.#cancelRunning(failed)
  }

  #cancelRunning(failed: (error: unknown) => void): void {
    const driver = this.#driver
    const { protocol, target } = this.#options.entry
    const key = this.#connection?.cancelTarget?.()
    if (driver === undefined || protocol.cancellation === undefined || key === undefined) return
    // A cancel that arrives when nothing runs would hit whatever runs next.
    if (driver.commandsRunning === 0 || this.#isCancelling) return
    this.#isCancelling = true
    driver.pauseCommands(true)
    cancelUpstream(target, protocol.cancellation, key)
      .catch(failed)
      .finally(() => {
        this.#isCancelling = false
        if (!this.#isOver) driver.pauseCommands(false)
      })
  }

  /** Looks for idleness and age. */
  sweep(nowUnixMs: number): void {
    const driver = this.#driver
    if (driver === undefined || !this.#isReady) return
    const { idleTimeoutMs, maxSessionMs } = this.#options.limits
    if (driver.receivedBytes !== this.#seenBytes || !driver.isIdle) {
      this.#seenBytes = driver.receivedBytes
      this.#seenAtUnixMs = nowUnixMs
    }
    if (idleTimeoutMs !== undefined && nowUnixMs - this.#seenAtUnixMs >= idleTimeoutMs) {
      this.shutdown({ reason: 'limit', message: 'the session was idle for too long' })
    } else if (maxSessionMs !== undefined && nowUnixMs - this.#startedAtUnixMs >= maxSessionMs) {
      this.shutdown({ reason: 'limit', message: 'the session has reached its maximum length' })
    } else if (this.#lease?.expiresAtUnixMs !== undefined && nowUnixMs >= this.#lease.expiresAtUnixMs) {
      this.shutdown({ reason: 'revoked', message: "the session's credential has expired" })
    }
  }

  /** Ends the session when nothing of it runs; see {@link Gateway.drain}. */
  drain(denial: Denial): void {
    this.#isDraining = true
    if (!this.#isReady || this.#driver === undefined || this.#driver.isIdle) this.shutdown(denial)
    else this.#drainDenial = denial
  }

  #drainWhenIdle(): void {
    const denial = this.#drainDenial
    if (denial === undefined) return
    // Not now: the answer's last bytes are still on their way through.
    setImmediate(() => {
      if (this.#driver?.isIdle === true) this.shutdown(denial)
    })
  }

  shutdown(denial: Denial): void {
    if (this.#isOver) return
    if (this.#driver === undefined) this.destroy()
    else this.#driver.shutdown(denial)
  }

  destroy(): void {
    if (this.#driver !== undefined) this.#driver.destroy()
    this.#options.socket.destroy()
    if (this.#driver === undefined) this.#over()
  }

  async #releaseLease(): Promise<void> {
    try {
      await this.#lease?.release?.()
    } catch {
      // What goes wrong there is for its provider to report: the session has ended either way.
    }
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#loginTimer)
    this.#reader?.release()
    this.#upstream?.destroy()
    void this.#releaseLease()
    this.#finish()
  }
}

const UNKNOWN_CATALOG: CatalogSource = { relations: () => Promise.resolve([]), invalidate: () => {} }
