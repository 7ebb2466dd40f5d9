import { randomBytes } from 'node:crypto'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import { SallyportError, type CancelTarget, type Clock, type Denial, type RandomBytes } from '../core/index.js'
import type { Identity } from '../identity/types.js'
import type { AdmittedClient, CatalogSource } from '../streams/driver-types.js'
import { guardedStream, type SessionOpener } from '../streams/guarded-stream.js'
import { housekeepingSession } from '../streams/housekeeping.js'
import type { Session } from '../enforcement/types.js'
import { CancelRegistry } from './cancel-registry.js'
import { ConnectRate } from './connect-rate.js'
import { GatewayConnection } from './gateway-connection.js'
import { GatewayEventEmitter } from './gateway-events.js'
import { ReadBuffers } from './read-buffers.js'
import { ServerTls } from './server-tls.js'
import { targetTransport } from './target.js'
import type {
  ConnectionInfo,
  GatewayEvents,
  GatewayLimits,
  GatewayLogger,
  ListenerAddress,
  ListenerOptions,
  ResourceOptions,
} from './types.js'

export interface GatewayOptions {
  readonly listeners: readonly ListenerOptions[]
  readonly resources: readonly ResourceOptions[]
  readonly enforcer: SessionOpener
  readonly identity: Identity
  readonly limits?: GatewayLimits
  /** Default: silence. */
  readonly logger?: GatewayLogger
  /** Default: the system's. */
  readonly clock?: Clock
  readonly random?: RandomBytes
}

/** How often connections are looked over for idleness and age. One timer per gateway, none per session. */
const SWEEP_INTERVAL_MS = 1_000

/** After the deadline of a drain, sessions have this long for their last words. */
const LAST_WORDS_MS = 1_000

const SHUTTING_DOWN: Denial = { reason: 'revoked', message: 'the gateway is shutting down' }

/**
 * Listens, and puts a guard between every client and its target. The only part of this library that opens
 * sockets; which protocol is spoken where is said by its resources.
 *
 * @example
 * const gateway = createGateway({ listeners: [{ resource: 'shop', port: 6432 }], resources: [shop], enforcer, identity })
 * await gateway.listen()
 */
export function createGateway(options: GatewayOptions): Gateway {
  return new Gateway(options)
}

export class Gateway {
  /** Live events: what happens, as it happens. */
  readonly events: EventEmitter<GatewayEvents>
  readonly #options: GatewayOptions
  readonly #clock: Clock
  readonly #random: RandomBytes
  readonly #connections = new Set<GatewayConnection>()
  readonly #resources = new Map<string, ResourceOptions>()
  readonly #catalogs = new Map<string, CatalogSource & { close(): void }>()
  readonly #cancels: CancelRegistry<GatewayConnection>
  readonly #buffers = new ReadBuffers()
  readonly #rate: ConnectRate
  readonly #maxConnections: number
  #servers: Server[] = []
  #sweep: NodeJS.Timeout | undefined
  #nextId = 1
  #isDraining = false

  /** @throws SallyportError `invalid_option` */
  constructor(options: GatewayOptions) {
    this.#options = options
    this.events = new GatewayEventEmitter(options.logger)
    this.#clock = options.clock ?? { nowUnixMs: () => Date.now() }
    this.#random = options.random ?? ((count) => randomBytes(count))
    this.#cancels = new CancelRegistry(this.#random)
    this.#maxConnections = options.limits?.maxConnections ?? 1_000
    this.#rate = new ConnectRate(options.limits?.maxConnectsPerSecond ?? 100, this.#clock)
    for (const entry of options.resources) {
      const { name } = entry.resource
      if (this.#resources.has(name)) throw new SallyportError('invalid_option', `resource \`${name}\` is given twice`)
      this.#resources.set(name, entry)
    }
    for (const listener of options.listeners) {
      if (this.#resources.has(listener.resource)) continue
      throw new SallyportError(
        'invalid_option',
        `a listener names resource \`${listener.resource}\`, which is not given`,
      )
    }
  }

  /** Connections as they are now. */
  get connections(): readonly ConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.info)
  }

  /** Opens all listeners, or none. */
  async listen(): Promise<readonly ListenerAddress[]> {
    const addresses: ListenerAddress[] = []
    try {
      for (const listener of this.#options.listeners) addresses.push(await this.#open(listener))
    } catch (error) {
      this.#stopListening()
      throw error
    }
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_INTERVAL_MS)
    this.#sweep.unref()
    return addresses
  }

  #open(listener: ListenerOptions): Promise<ListenerAddress> {
    const entry = this.#resources.get(listener.resource) as ResourceOptions
    const { directTlsAlpn } = entry.protocol
    const tls = listener.tls === undefined ? undefined : new ServerTls(listener.tls, directTlsAlpn ?? [])
    const server = createServer({ noDelay: true, keepAlive: true, allowHalfOpen: true }, (socket) => {
      this.#accept(socket, entry, listener, tls)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(listener.port, listener.host ?? '127.0.0.1', () => {
        server.off('error', reject)
        server.on('error', (error) => this.#options.logger?.error({ error }, 'a listener failed'))
        this.#servers.push(server)
        const { address, port } = server.address() as AddressInfo
        resolve({ resource: listener.resource, host: address, port })
      })
    })
  }

  #accept(socket: Socket, entry: ResourceOptions, listener: ListenerOptions, tls: ServerTls | undefined): void {
    const address = socket.remoteAddress ?? ''
    if (this.#isDraining || this.#connections.size >= this.#maxConnections || !this.#rate.admit(address)) {
      this.#options.logger?.warn({ address }, 'a connection was turned away')
      socket.destroy()
      return
    }
    const connection: GatewayConnection = new GatewayConnection({
      id: this.#nextId++,
      socket,
      entry,
      tls,
      isTlsRequired: listener.tls !== undefined && listener.tls.isRequired !== false,
      clientAddress: address,
      identity: this.#options.identity,
      enforcer: this.#options.enforcer,
      limits: this.#options.limits ?? {},
      clock: this.#clock,
      random: this.#random,
      buffers: this.#buffers,
      issueCancelKey: (owner) => this.#cancels.issue(owner),
      cancel: (target) => this.#cancel(target),
      catalog: (client, session) => this.#catalog(entry, client, session),
      emit: this.events,
    })
    this.#connections.add(connection)
    this.events.emit('connection', connection.info)
    void connection.finished.then(() => {
      this.#connections.delete(connection)
      this.#cancels.revoke(connection.cancelKey.processId)
      this.events.emit('closed', connection.info)
    })
  }

  #cancel(target: CancelTarget): void {
    this.#cancels.find(target)?.cancel((error) => {
      this.#options.logger?.warn({ error }, 'a cancel request could not be passed on')
    })
  }

  #catalog(entry: ResourceOptions, client: AdmittedClient, session: Session): CatalogSource | undefined {
    if (entry.catalog === undefined) return undefined
    const key = JSON.stringify([entry.resource.name, client.database ?? client.user])
    let catalog = this.#catalogs.get(key)
    if (catalog === undefined) {
      const { protocol, resource, target, credentials } = entry
      const analyzer = session.analyzer(protocol.name)
      const housekeeping = housekeepingSession(resource, analyzer)
      catalog = entry.catalog({
        database: client.database,
        user: client.user,
        clock: this.#clock,
        analyzer,
        open: () =>
          guardedStream({
            protocol,
            session: housekeeping,
            ...targetTransport(target),
            credentials: async ({ database }) => {
              const { subject } = housekeeping
              const lease = await credentials.lease({
                subject,
                resource,
                ...(database === undefined ? {} : { database }),
              })
              return lease.credentials
            },
          }),
      })
      this.#catalogs.set(key, catalog)
    }
    return catalog
  }

  #sweepAll(): void {
    const now = this.#clock.nowUnixMs()
    for (const connection of this.#connections) connection.sweep(now)
  }

  #stopListening(): void {
    for (const server of this.#servers) server.close()
    this.#servers = []
  }

  /**
   * Stops gracefully: no new connections; idle sessions are told at once, busy ones when their command has
   * ended, all of them at the latest after `graceMs`. Resolves when every session's record has ended.
   */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    this.#stopListening()
    const finished = Promise.all([...this.#connections].map((connection) => connection.finished))
    for (const connection of this.#connections) connection.drain(SHUTTING_DOWN)
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.shutdown(SHUTTING_DOWN)
    }, graceMs)
    const force = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, graceMs + LAST_WORDS_MS)
    await finished
    clearTimeout(deadline)
    clearTimeout(force)
    clearInterval(this.#sweep)
    for (const catalog of this.#catalogs.values()) catalog.close()
    this.#catalogs.clear()
  }

  /** Stops at once. */
  close(): Promise<void> {
    return this.drain(0)
  }
}
