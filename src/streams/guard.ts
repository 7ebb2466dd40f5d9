import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  SallyportError,
  type Clock,
  type Protocol,
  type ProtocolContext,
  type RandomBytes,
  type Resource,
  type UpstreamCredentials,
} from '../core/index.js'
import { Driver } from './driver.js'
import type { AdmittedClient, DriverObserver, DriverPorts } from './driver-types.js'
import { DuplexPeer } from './duplex-peer.js'

export interface GuardOptions extends Omit<DriverPorts, 'connect'> {
  readonly protocol: Protocol
  readonly resource: Resource
  /** What to log in with upstream, once the client has been let in. */
  credentials(client: AdmittedClient): UpstreamCredentials | Promise<UpstreamCredentials>
  /** What differs from a plain wire on both sides. Default: no TLS on either, because pipes carry the bytes as they are. */
  readonly context?: Partial<ProtocolContext>
  readonly observer?: DriverObserver
  readonly clientAddress?: string
}

export interface Guard {
  /** Plug in the client's transport: `pipeline(socket, guard.downstream, socket)`. */
  readonly downstream: Duplex
  /** Plug in the target's transport: `pipeline(socket, guard.upstream, socket)`. */
  readonly upstream: Duplex
  readonly driver: Driver
}

/**
 * A guard as a pair of Node streams, so that a proxy is three pipelines: client to guard, guard to target,
 * and both back.
 *
 * @example
 * const guard = createGuard({ protocol: postgres(), resource, identity, openSession, credentials })
 * pipeline(client, guard.downstream, client, done)
 * pipeline(target, guard.upstream, target, done)
 */
export function createGuard(options: GuardOptions): Guard {
  const downstream = new DuplexPeer('downstream')
  const upstream = new DuplexPeer('upstream')
  const { protocol, resource, credentials, observer, clientAddress } = options
  let isConnected = false
  const driver = new Driver({
    connection: protocol.createConnection(protocolContext(options.context)),
    protocol: protocol.name,
    resource,
    downstream: downstream.peer,
    ports: {
      ...options,
      async connect(client) {
        if (isConnected) throw new SallyportError('internal', 'a guard has one upstream side only')
        isConnected = true
        const leased = await credentials(client)
        return { peer: upstream.peer, credentials: leased, start: () => upstream.bind(driver) }
      },
    },
    ...(observer === undefined ? {} : { observer }),
    ...(clientAddress === undefined ? {} : { clientAddress }),
  })
  downstream.bind(driver)
  // Where upstream was never asked for, its stream must not outlive the guard.
  void driver.finished.then(() => upstream.destroy())
  return { downstream, upstream, driver }
}

const systemClock: Clock = { nowUnixMs: () => Date.now() }
const systemRandom: RandomBytes = (count) => randomBytes(count)

/** A context with nothing but the system's clock and randomness: no TLS anywhere, and a cancel key that nobody knows. */
export function protocolContext(changes: Partial<ProtocolContext> = {}): ProtocolContext {
  const random = changes.random ?? systemRandom
  return {
    random,
    clock: systemClock,
    downstreamTls: 'unavailable',
    upstreamTls: 'unavailable',
    cancelKey: { processId: 1 + (Buffer.from(random(4)).readUInt32BE(0) % 0x7ffffffe), secretKey: random(32) },
    ...changes,
  }
}
