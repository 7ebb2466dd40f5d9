import type { Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import type { Server as Ssh2Server } from 'ssh2'
import { type Clock, positiveLimits, SallyportError, type Schedule } from '../../core/index.js'
import { FrontDoor } from '../front-door.js'
import { GatewayEventEmitter } from '../gateway-events.js'
import { system } from '../system.js'
import { sshAlgorithms } from './algorithms.js'
import { SshGatewayConnection } from './gateway-connection.js'
import { PacketBuffers } from './packet-buffers.js'
import { loadSsh2, socketOf, type Ssh2Module } from './ssh2.js'
import type {
  SshConnectionInfo,
  SshGatewayEvents,
  SshGatewayOptions,
  SshListenerAddress,
  SshListenerOptions,
  SshResourceOptions,
} from './types.js'

/**
 * Behind `SSH-2.0-`: neither version nor platform is anybody's business. OpenSSH tells only what begins like itself that it
 * takes no more of a program's output (`eow@openssh.com`), without which `ssh host yes | head` would never end.
 */
const IDENT = 'OpenSSH_sallyport'
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
  readonly #door: FrontDoor<SshGatewayConnection>
  readonly #buffers = new PacketBuffers()
  readonly #bySocket = new Map<unknown, SshGatewayConnection>()

  /** @throws SallyportError `invalid_option` */
  constructor(options: SshGatewayOptions) {
    this.#options = options
    this.events = new GatewayEventEmitter<SshGatewayEvents>(options.logger)
    this.#clock = options.clock ?? system.clock
    this.#schedule = options.schedule ?? system.schedule
    this.#door = new FrontDoor({
      maxConnections: options.limits?.maxConnections,
      maxConnectsPerSecond: options.limits?.maxConnectsPerSecond,
      maxLoginsPerAddress: options.limits?.maxLoginsPerAddress,
      clock: this.#clock,
      schedule: this.#schedule,
      logger: options.logger,
    })
    for (const entry of options.resources) {
      const { name } = entry.resource
      if (this.#resources.has(name)) throw new SallyportError('invalid_option', `resource \`${name}\` is given twice`)
      this.#resources.set(name, entry)
    }
    for (const { resource } of options.listeners) {
      if (resource === undefined || this.#resources.has(resource)) continue
      throw new SallyportError('invalid_option', `a listener names resource \`${resource}\`, which is not given`)
    }
    positiveLimits(options.limits ?? {})
    if (options.hostKeys.length === 0) throw new SallyportError('invalid_option', 'expected at least one host key')
  }

  /** Connections as they are now. */
  get connections(): readonly SshConnectionInfo[] {
    return [...this.#door.visitors].map((connection) => connection.info)
  }

  /**
   * Opens all listeners, or none.
   *
   * @throws SallyportError `missing_dependency` without `ssh2`, `invalid_option` for a host key that cannot be read
   */
  async listen(): Promise<readonly SshListenerAddress[]> {
    const ssh2 = await loadSsh2()
    const acceptor = this.#createAcceptor(ssh2)
    return this.#door.openAll(this.#options.listeners, (listener) => this.#open(listener, ssh2, acceptor))
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

  async #open(listener: SshListenerOptions, ssh2: Ssh2Module, acceptor: Ssh2Server): Promise<SshListenerAddress> {
    const address = await this.#door.open(listener, {}, (socket, clientAddress, id) => {
      this.#accept(socket, clientAddress, id, { listener, ssh2, acceptor })
    })
    return listener.resource === undefined ? address : { resource: listener.resource, ...address }
  }

  #accept(
    socket: Socket,
    clientAddress: string,
    id: number,
    { listener, ssh2, acceptor }: { listener: SshListenerOptions; ssh2: Ssh2Module; acceptor: Ssh2Server },
  ): void {
    const { identity, enforcer, limits = {} } = this.#options
    const connection = new SshGatewayConnection({
      id,
      socket,
      ssh2,
      ident: IDENT,
      clientAddress,
      identity,
      enforcer,
      limits,
      clock: this.#clock,
      schedule: this.#schedule,
      events: this.events,
      buffers: this.#buffers,
      resource: (target) => this.#resource(listener, target),
    })
    this.#bySocket.set(socket, connection)
    this.events.emit('connection', connection.info)
    this.#door.admit(connection, () => {
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

  /**
   * Stops gracefully: no new connections; idle sessions are told at once, busy ones when their commands have ended, all of
   * them at the latest after `graceMs`. Resolves when every session's record has ended.
   */
  drain(graceMs: number): Promise<void> {
    return this.#door.drain(graceMs)
  }

  /** Stops at once. */
  close(): Promise<void> {
    return this.drain(0)
  }
}
