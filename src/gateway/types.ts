import type { ConnectionOptions, SecureContextOptions } from 'node:tls'
import type { Command, CommandAnswer, Denial, Protocol, Resource, SallyportError, Subject } from '../core/index.js'
import type { CredentialProvider } from '../credentials/types.js'
import type { Judgement, Session } from '../enforcement/types.js'
import type { CatalogFactory } from './catalogs.js'

/** How the target is reached. */
export interface Target {
  readonly host: string
  readonly port: number
  /** Default: no TLS. */
  readonly tls?: TargetTls
  /** Default: 10 000. */
  readonly connectTimeoutMs?: number
}

/**
 * `require` encrypts to whoever answers, and protects from nobody who can stand in between; `verify-full` also
 * checks the certificate against `ca` (default: Node's roots) and the name it must carry.
 */
export interface TargetTls {
  readonly mode: 'disable' | 'require' | 'verify-full'
  readonly ca?: ConnectionOptions['ca']
  /** Default: the target's host. */
  readonly serverName?: string
  /** Client certificate. */
  readonly cert?: ConnectionOptions['cert']
  readonly key?: ConnectionOptions['key']
}

/** TLS towards clients. */
export interface ListenerTls {
  readonly key: SecureContextOptions['key']
  readonly cert: SecureContextOptions['cert']
  /** Nothing but the start of TLS is accepted in the clear. Default: true. */
  readonly isRequired?: boolean
  /** Asks clients for a certificate signed by one of these. Its common name counts only when it verifies. */
  readonly clientCa?: SecureContextOptions['ca']
}

export interface ListenerOptions {
  /** Name of the resource that is reached here. */
  readonly resource: string
  /** Default: `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  /** Default: none; log-ins that need encryption are then refused. */
  readonly tls?: ListenerTls
}

export interface ResourceOptions {
  readonly resource: Resource
  readonly protocol: Protocol
  readonly target: Target
  readonly credentials: CredentialProvider
  /** Looks up where columns come from. Undefined: every masked column counts as coming from anywhere. */
  readonly catalog?: CatalogFactory
}

/** Every one has a default; what exceeds one is refused. */
export interface GatewayLimits {
  /** Connections at a time over all listeners. Default 1000: some 64 KiB each, and a descriptor pair each. */
  readonly maxConnections?: number
  /** New connections of one address per second. Default 100: an application's pool opening at once, no flood. */
  readonly maxConnectsPerSecond?: number
  /** Connections of one address at a time that are not logged in. Default 200: who never logs in leaves places for others. */
  readonly maxLoginsPerAddress?: number
  /** From the first byte to an established session. Default 60 000, as PostgreSQL's `authentication_timeout`. */
  readonly authenticationTimeoutMs?: number
  /** Without a byte either way while no command runs or waits. Default: none. */
  readonly idleTimeoutMs?: number
  /** Whole life of a session. Default: none. */
  readonly maxSessionMs?: number
  /** All bytes one side may send in the life of a connection. Default: none. */
  readonly maxDownstreamBytes?: number
  readonly maxUpstreamBytes?: number
}

/** Where a gateway says what it does. Any logger fits; nothing secret is ever passed. */
export interface GatewayLogger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Where listeners ended up. */
export interface ListenerAddress {
  readonly resource: string
  readonly host: string
  readonly port: number
}

/** One connection as live events name it. */
export interface ConnectionInfo {
  readonly id: number
  readonly resource: Resource
  readonly clientAddress: string
  readonly subject?: Subject
  readonly sessionId?: string
}

/** Live events. Listeners are told after the fact, and must not throw. */
export interface GatewayEvents {
  connection: (info: ConnectionInfo) => void
  ready: (info: ConnectionInfo, session: Session) => void
  rejected: (info: ConnectionInfo, denial: Denial, user: string) => void
  judged: (info: ConnectionInfo, command: Command, judgement: Judgement) => void
  answered: (info: ConnectionInfo, commandId: number, answer: CommandAnswer) => void
  /** The protocol refused a message itself, before any rule saw it. */
  refused: (info: ConnectionInfo, via: string, denial: Denial) => void
  failed: (info: ConnectionInfo, error: SallyportError) => void
  closed: (info: ConnectionInfo) => void
}
