import { createServer, type AddressInfo, type Server, type ServerOpts, type Socket } from 'node:net'
import type { Clock, Denial, Schedule } from '../core/index.js'
import { ConnectRate } from './connect-rate.js'
import type { GatewayLogger } from './types.js'

/** How often connections are looked over for idleness and age. One timer per gateway, none per session. */
const SWEEP_INTERVAL_MS = 1_000

/** After the deadline of a drain, sessions have this long for their last words. */
const LAST_WORDS_MS = 1_000

const SHUTTING_DOWN: Denial = { reason: 'revoked', message: 'the gateway is shutting down' }

/** What a front door needs of each connection that came in by it. */
export interface Visitor {
  readonly info: { readonly clientAddress: string }
  /** Somebody who may be here. */
  readonly isAdmitted: boolean
  /** Resolves when its record has ended. Never rejects. */
  readonly finished: Promise<void>
  sweep(nowUnixMs: number): void
  /** Ends it as soon as nothing of it runs. */
  drain(denial: Denial): void
  shutdown(denial: Denial): void
  destroy(): void
}

export interface FrontDoorOptions {
  /** Default 1000. */
  readonly maxConnections: number | undefined
  /** Default 100. */
  readonly maxConnectsPerSecond: number | undefined
  /** Default 200. */
  readonly maxLoginsPerAddress: number | undefined
  readonly clock: Clock
  readonly schedule: Schedule
  readonly logger: GatewayLogger | undefined
}

/** The listening sockets of a gateway and the connections that came in by them, whatever is spoken there. */
export class FrontDoor<V extends Visitor> {
  readonly #options: FrontDoorOptions
  readonly #maxConnections: number
  readonly #maxLoginsPerAddress: number
  readonly #rate: ConnectRate
  readonly #visitors = new Set<V>()
  #servers: Server[] = []
  #sweep: NodeJS.Timeout | undefined
  #nextId = 1
  #isDraining = false

  constructor(options: FrontDoorOptions) {
    this.#options = options
    this.#maxConnections = options.maxConnections ?? 1_000
    this.#maxLoginsPerAddress = options.maxLoginsPerAddress ?? 200
    this.#rate = new ConnectRate(options.maxConnectsPerSecond ?? 100, options.clock)
  }

  get visitors(): Iterable<V> {
    return this.#visitors
  }

  /**
   * Opens all listeners, or none.
   *
   * @param open calls {@link FrontDoor.open} for one of them
   */
  async openAll<L, A>(listeners: readonly L[], open: (listener: L) => Promise<A>): Promise<readonly A[]> {
    const addresses: A[] = []
    try {
      for (const listener of listeners) addresses.push(await open(listener))
    } catch (error) {
      this.#stopListening()
      throw error
    }
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_INTERVAL_MS)
    this.#sweep.unref()
    return addresses
  }

  /** @param accept gets each socket that may come in, with a number for its connection */
  open(
    { host = '127.0.0.1', port }: { readonly host?: string; readonly port: number },
    options: ServerOpts,
    accept: (socket: Socket, address: string, id: number) => void,
  ): Promise<{ readonly host: string; readonly port: number }> {
    const { logger } = this.#options
    const server = createServer({ noDelay: true, keepAlive: true, ...options }, (socket) => {
      const address = socket.remoteAddress ?? ''
      if (!this.#mayEnter(address)) {
        logger?.warn({ address }, 'a connection was turned away')
        socket.destroy()
        return
      }
      accept(socket, address, this.#nextId++)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        server.on('error', (error) => logger?.error({ error }, 'a listener failed'))
        this.#servers.push(server)
        const bound = server.address() as AddressInfo
        resolve({ host: bound.address, port: bound.port })
      })
    })
  }

  #mayEnter(address: string): boolean {
    if (this.#isDraining || this.#visitors.size >= this.#maxConnections || !this.#rate.admit(address)) return false
    // Strangers who never log in must not take all the places.
    let logins = 0
    for (const { isAdmitted, info } of this.#visitors) if (!isAdmitted && info.clientAddress === address) logins++
    return logins < this.#maxLoginsPerAddress
  }

  /** @param left called when it is over */
  admit(visitor: V, left: () => void): void {
    this.#visitors.add(visitor)
    void visitor.finished.then(() => {
      this.#visitors.delete(visitor)
      left()
    })
  }

  /**
   * Stops gracefully: nobody else comes in; idle connections are told at once, busy ones when their commands have ended,
   * all of them at the latest after `graceMs`. Resolves when every record has ended.
   */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    this.#stopListening()
    const finished = Promise.all([...this.#visitors].map((visitor) => visitor.finished))
    for (const visitor of this.#visitors) visitor.drain(SHUTTING_DOWN)
    const cancelDeadline = this.#options.schedule(graceMs, () => {
      for (const visitor of this.#visitors) visitor.shutdown(SHUTTING_DOWN)
    })
    const cancelForce = this.#options.schedule(graceMs + LAST_WORDS_MS, () => {
      for (const visitor of this.#visitors) visitor.destroy()
    })
    await finished
    cancelDeadline()
    cancelForce()
    clearInterval(this.#sweep)
  }

  #sweepAll(): void {
    const now = this.#options.clock.nowUnixMs()
    for (const visitor of this.#visitors) visitor.sweep(now)
  }

  #stopListening(): void {
    for (const server of this.#servers) server.close()
    this.#servers = []
  }
}
