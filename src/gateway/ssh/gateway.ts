import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import type { Server as Ssh2Server } from 'ssh2'
import { type Clock, type Denial, SallyportError, type Schedule } from '../../core/index.js'
import { ConnectRate } from '../connect-rate.js'
import { system } from '../system.js'
import { sshAlgorithms } from './algorithms.js'
import { SshGatewayConnection } from './gateway-connection.js'
import { SshGatewayEventEmitter } from './gateway-events.js'
import { loadSsh2, socketOf, type Ssh2Module } from './ssh2.js'
import type {
  SshConnectionInfo,
  SshGatewayEvents,
  SshGatewayOptions,
  SshListenerAddress,
  SshListenerOptions,
  SshResourceOptions,
} from './types.js'

const SWEEP_INTERVAL_MS = 1_000
const LAST_WORDS_MS = 1_000
const SHUTTING_DOWN: Denial = { reason: 'revoked', message: 'the gateway is shutting down' }
/** Behind `SSH-2.0-`: neither version nor platform is anybody's business. */
const IDENT = 'sallyport'
/** ssh2 asks for signs of life by itself unless told to wait this long; we ask in the order of other requests. */
const NEVER_MS = 2_147_483_647

/**
 * Listens for SSH, and puts a guard between every client and its target. Needs the optional package `ssh2`.
 *
 * @throws SallyportError `invalid_option`
 * @example
 * const gateway = createSshGateway({ listeners: [{ port: 2222 }], resources: [web], enforcer, identity, hostKeys })
 * await gateway.listen()
 * // ssh -p 2222 alice+web@localhost
 */
export function createSshGateway(options: SshGatewayOptions): SshGateway {
  return new SshGateway(options)
}

export class SshGateway {
  /** Live events: what happens, as it happens. */
  readonly events: EventEmitter<SshGatewayEvents>
  readonly #options: SshGatewayOptions
  readonly #clock: Clock
  readonly #schedule: Schedule
  readonly #resources = new Map<string, SshResourceOptions>()
  readonly #connections = new Set<SshGatewayConnection>()
  readonly #bySocket = new Map<unknown, SshGatewayConnection>()
  readonly #rate: ConnectRate
  readonly #maxConnections: number
  #servers: Server[] = []
  #sweep: NodeJS.Timeout | undefined
  #nextId = 1
  #isDraining = false

  /** @throws SallyportError `invalid_option` */
  constructor(options: SshGatewayOptions) {
    this.#options = options
    this.events = new SshGatewayEventEmitter(options.logger)
    this.#clock = options.clock ?? system.clock
    this.#schedule = options.schedule ?? system.schedule
    this.#maxConnections = options.limits?.maxConnections ?? 1_000
    this.#rate = new ConnectRate(options.limits?.maxConnectsPerSecond ?? 100, this.#clock)
    for (const entry of options.resources) {
      const { name } = entry.resource
      if (this.#resources.has(name)) throw new SallyportError('invalid_option', `resource \`${name}\` is given twice`)
      this.#resources.set(name, entry)
    }
    for (const { resource } of options.listeners) {
      if (resource === undefined || this.#resources.has(resource)) continue
      throw new SallyportError('invalid_option', `a listener names resource \`${resource}\`, which is not given`)
    }
    if (options.hostKeys.length === 0) throw new SallyportError('invalid_option', 'expected at least one host key')
  }

  /** Connections as they are now. */
  get connections(): readonly SshConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.info)
  }

  /**
   * Opens all listeners, or none.
   *
   * @throws SallyportError `missing_dependency` without `ssh2`, `invalid_option` for a host key that cannot be read
   */
  async listen(): Promise<readonly SshListenerAddress[]> {
    const ssh2 = await loadSsh2()
    const acceptor = this.#createAcceptor(ssh2)
    const addresses: SshListenerAddress[] = []
    try {
      for (const listener of this.#options.listeners) addresses.push(await this.#open(listener, ssh2, acceptor))
    } catch (error) {
      this.#stopListening()
      throw error
    }
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_INTERVAL_MS)
    this.#sweep.unref()
    return addresses
  }

  /** Does the key exchange and log-in of sockets put into it; it does not listen. */
  #createAcceptor(ssh2: Ssh2Module): Ssh2Server {
    try {
      const acceptor = new ssh2.Server({
        hostKeys: this.#options.hostKeys.map((key) => key.expose()),
        ident: IDENT,
        algorithms: sshAlgorithms(),
        keepaliveInterval: NEVER_MS,
      })
      acceptor.on('connection', (client, info) => {
        const connection = this.#bySocket.get(socketOf(client))
        if (connection === undefined) client.end()
        else connection.begin(client, info)
      })
      return acceptor
    } catch (cause) {
      throw new SallyportError('invalid_option', 'a host key cannot be read', { cause })
    }
  }

  #open(listener: SshListenerOptions, ssh2: Ssh2Module, acceptor: Ssh2Server): Promise<SshListenerAddress> {
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
      this.#accept(socket, listener, ssh2, acceptor)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(listener.port, listener.host ?? '127.0.0.1', () => {
        server.off('error', reject)
        server.on('error', (error) => this.#options.logger?.error({ error }, 'a listener failed'))
        this.#servers.push(server)
        const { address, port } = server.address() as AddressInfo
        resolve({ ...(listener.resource === undefined ? {} : { resource: listener.resource }), host: address, port })
      })
    })
  }

  #accept(socket: Socket, listener: SshListenerOptions, ssh2: Ssh2Module, acceptor: Ssh2Server): void {
    const address = socket.remoteAddress ?? ''
    if (this.#isDraining || this.#connections.size >= this.#maxConnections || !this.#rate.admit(address)) {
      this.#options.logger?.warn({ address }, 'a connection was turned away')
      socket.destroy()
      return
    }
    const { identity, enforcer, limits = {} } = this.#options
    const connection = new SshGatewayConnection({
      id: this.#nextId++,
      socket,
      ssh2,
      ident: IDENT,
      clientAddress: address,
      identity,
      enforcer,
      limits,
      clock: this.#clock,
      schedule: this.#schedule,
      events: this.events,
      resource: (target) => this.#resource(listener, target),
    })
    this.#connections.add(connection)
    this.#bySocket.set(socket, connection)
    this.events.emit('connection', connection.info)
    void connection.finished.then(() => {
      this.#connections.delete(connection)
      this.#bySocket.delete(socket)
      this.events.emit('closed', connection.info)
    })
    acceptor.injectSocket(socket)
  }

  /** A listener's own resource cannot be exchanged for another by name. */
  #resource(listener: SshListenerOptions, target: string | undefined): SshResourceOptions | undefined {
    if (listener.resource !== undefined && target !== undefined && target !== listener.resource) return undefined
    const name = listener.resource ?? target
    return name === undefined ? undefined : this.#resources.get(name)
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
   * Stops gracefully: no new connections; idle sessions are told at once, busy ones when their commands have ended, all of
   * them at the latest after `graceMs`. Resolves when every session's record has ended.
   */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    this.#stopListening()
    const finished = Promise.all([...this.#connections].map((connection) => connection.finished))
    for (const connection of this.#connections) connection.drain(SHUTTING_DOWN)
    const cancelDeadline = this.#schedule(graceMs, () => {
      for (const connection of this.#connections) connection.shutdown(SHUTTING_DOWN)
    })
    const cancelForce = this.#schedule(graceMs + LAST_WORDS_MS, () => {
      for (const connection of this.#connections) connection.destroy()
    })
    await finished
    cancelDeadline()
    cancelForce()
    clearInterval(this.#sweep)
  }

  /** Stops at once. */
  close(): Promise<void> {
    return this.drain(0)
  }
}
