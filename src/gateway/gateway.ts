import type { Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import { SallyportError, type CancelTarget, type Clock, type RandomBytes } from '../core/index.js'
import type { Identity } from '../identity/types.js'
import type { AdmittedClient, CatalogSource } from '../streams/driver-types.js'
import { guardedStream, type SessionOpener } from '../streams/guarded-stream.js'
import { housekeepingSession } from '../streams/housekeeping.js'
import type { Session } from '../enforcement/types.js'
import { CancelRegistry } from './cancel-registry.js'
import { FrontDoor } from './front-door.js'
import { GatewayConnection } from './gateway-connection.js'
import { GatewayEventEmitter } from './gateway-events.js'
import { ReadBuffers } from './read-buffers.js'
import { ServerTls } from './server-tls.js'
import { system } from './system.js'
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
  readonly #door: FrontDoor<GatewayConnection>
  readonly #resources = new Map<string, ResourceOptions>()
  readonly #catalogs = new Map<string, CatalogSource & { close(): void }>()
  readonly #cancels: CancelRegistry<GatewayConnection>
  readonly #buffers = new ReadBuffers()

  /** @throws SallyportError `invalid_option` */
  constructor(options: GatewayOptions) {
    this.#options = options
    this.events = new GatewayEventEmitter<GatewayEvents>(options.logger)
    this.#clock = options.clock ?? system.clock
    this.#random = options.random ?? system.randomBytes
    this.#cancels = new CancelRegistry(this.#random)
    this.#door = new FrontDoor({
      maxConnections: options.limits?.maxConnections,
      maxConnectsPerSecond: options.limits?.maxConnectsPerSecond,
      maxLoginsPerAddress: options.limits?.maxLoginsPerAddress,
      clock: this.#clock,
      schedule: system.schedule,
      logger: options.logger,
    })
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
    return [...this.#door.visitors].map((connection) => connection.info)
  }

  /** Opens all listeners, or none. */
  listen(): Promise<readonly ListenerAddress[]> {
    return this.#door.openAll(this.#options.listeners, (listener) => this.#open(listener))
  }

  async #open(listener: ListenerOptions): Promise<ListenerAddress> {
    const entry = this.#resources.get(listener.resource) as ResourceOptions
    const { directTlsAlpn } = entry.protocol
    const tls = listener.tls === undefined ? undefined : new ServerTls(listener.tls, directTlsAlpn ?? [])
    const address = await this.#door.open(listener, { allowHalfOpen: true }, (socket, clientAddress, id) => {
      this.#accept(socket, clientAddress, id, { entry, listener, tls })
    })
    return { resource: listener.resource, ...address }
  }

  #accept(
    socket: Socket,
    clientAddress: string,
    id: number,
    { entry, listener, tls }: { entry: ResourceOptions; listener: ListenerOptions; tls: ServerTls | undefined },
  ): void {
    const connection: GatewayConnection = new GatewayConnection({
      id,
      socket,
      entry,
      tls,
      isTlsRequired: listener.tls !== undefined && listener.tls.isRequired !== false,
      clientAddress,
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
    this.events.emit('connection', connection.info)
    this.#door.admit(connection, () => {
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

  /**
   * Stops gracefully: no new connections; idle sessions are told at once, busy ones when their command has
   * ended, all of them at the latest after `graceMs`. Resolves when every session's record has ended.
   */
  async drain(graceMs: number): Promise<void> {
    await this.#door.drain(graceMs)
    for (const catalog of this.#catalogs.values()) catalog.close()
    this.#catalogs.clear()
  }

  /** Stops at once. */
  close(): Promise<void> {
    return this.drain(0)
  }
}
