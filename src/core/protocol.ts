import type { Clock, RandomBytes } from './clock.js'
import type { CancelTarget, Connection } from './connection.js'

/**
 * Where TLS stands on one side when a connection is made.
 * `unavailable`: it cannot be started, the connection declines it. `offered`: it may be started.
 * `required`: nothing but its start may happen in the clear. `established`: the bytes are inside TLS already.
 */
export type TlsPosture = 'unavailable' | 'offered' | 'required' | 'established'

/** What a connection needs of its surroundings. */
export interface ProtocolContext {
  readonly random: RandomBytes
  readonly clock: Clock
  /** `unavailable` when in-process: there is no wire, and nothing to encrypt. */
  readonly downstreamTls: TlsPosture
  /** `required` covers every mode but plaintext; whom the certificate must name is the driver's business. */
  readonly upstreamTls: 'unavailable' | 'required' | 'established'
  /** What the gateway's registry knows this session by; the client gets this, never the target's own key. A 32-byte key: cut it for old clients. */
  readonly cancelKey: CancelTarget
  /** No wire between client and gateway: passwords in the clear tell nobody anything, and `none` is an allowed challenge. */
  readonly isInProcess?: boolean
}

/** How a request to cancel is put on a fresh connection to the target. */
export interface Cancellation {
  /** What asks for TLS before the message where it is required. */
  readonly tlsRequest: Uint8Array
  /** Whether this first byte of the answer means that TLS may start. */
  isTlsAccepted(byte: number): boolean
  message(target: CancelTarget): Uint8Array
}

/** One wire protocol: makes connections, and says what a driver cannot ask of a single one of them. */
export interface Protocol {
  /** Such as `postgres`. */
  readonly name: string
  createConnection(context: ProtocolContext): Connection
  /** ALPN names of a TLS session that starts with the first byte. Undefined: TLS never comes first. */
  readonly directTlsAlpn?: readonly string[]
  /** Undefined: this protocol has no cancel requests. */
  readonly cancellation?: Cancellation
}
