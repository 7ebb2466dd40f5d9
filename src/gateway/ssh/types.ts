import type {
  Clock,
  Command,
  CommandAnswer,
  Denial,
  Resource,
  SallyportError,
  Schedule,
  Secret,
  Subject,
} from '../../core/index.js'
import type { HostKeys, SshCredentialProvider } from '../../credentials/ssh/index.js'
import type { Judgement, Session } from '../../enforcement/types.js'
import type { SshIdentity } from '../../identity/ssh/index.js'
import type { SshLimits } from '../../protocols/ssh/index.js'
import type { SessionOpener } from '../../streams/guarded-stream.js'
import type { GatewayLogger } from '../types.js'

export interface SshTarget {
  readonly host: string
  readonly port: number
  /** Default: 10 000, for the connection and again for key exchange and log-in. */
  readonly connectTimeoutMs?: number
}

export interface SshResourceOptions {
  readonly resource: Resource
  readonly target: SshTarget
  readonly credentials: SshCredentialProvider
  /** Judged before anything secret is sent. */
  readonly hostKeys: HostKeys
  /**
   * Run on the target in place of the user's shell behind a guarded terminal: it has to read lines as they are. Default
   * `exec bash --noediting --login +H -i`.
   */
  readonly guardedShellCommand?: string
}

export interface SshListenerOptions {
  /** Name of the resource reached here. Undefined: the client names it, as in `alice+web-1@gateway`. */
  readonly resource?: string
  /** Default: `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
}

/** Every one has a default; what exceeds one is refused. */
export interface SshGatewayLimits extends SshLimits {
  /** Connections at a time over all listeners. Default 1000. */
  readonly maxConnections?: number
  /** New connections of one address per second. Default 100. */
  readonly maxConnectsPerSecond?: number
  /** Connections of one address at a time that are not logged in. Default 200: who never logs in leaves places for others. */
  readonly maxLoginsPerAddress?: number
  /** From the first byte to the end of the log-in. Default 120 000, as OpenSSH's `LoginGraceTime`. */
  readonly authenticationTimeoutMs?: number
  /** Between two requests for a sign of life, to either side. Default 15 000: below every common idle timeout. */
  readonly keepaliveMs?: number
  /** Requests without an answer until a side counts as gone. Default 3. */
  readonly maxUnansweredKeepalives?: number
  /** Without a message but keepalives either way, and without a command that runs or waits; shells alone count for neither. Default: none. */
  readonly idleTimeoutMs?: number
  /** Whole life of a session. Default: none. */
  readonly maxSessionMs?: number
  /** New keys after so many bytes. Default 1 GiB (RFC 4253 section 9). */
  readonly rekeyBytes?: number
}

export interface SshGatewayOptions {
  readonly listeners: readonly SshListenerOptions[]
  readonly resources: readonly SshResourceOptions[]
  readonly enforcer: SessionOpener
  readonly identity: SshIdentity
  /** Private keys by which clients know the gateway, one per type, in any format that OpenSSH writes. */
  readonly hostKeys: readonly Secret<string>[]
  readonly limits?: SshGatewayLimits
  /** Default: silence. */
  readonly logger?: GatewayLogger
  /** Default: the system's. */
  readonly clock?: Clock
  readonly schedule?: Schedule
}

/** Where listeners ended up. */
export interface SshListenerAddress {
  readonly resource?: string
  readonly host: string
  readonly port: number
}

/** One connection as live events name it. */
export interface SshConnectionInfo {
  readonly id: number
  readonly clientAddress: string
  /** What the client's software calls itself. */
  readonly clientName?: string
  readonly user?: string
  readonly resource?: Resource
  readonly subject?: Subject
  readonly sessionId?: string
}

/** Live events. Listeners are told after the fact, and must not throw. */
export interface SshGatewayEvents {
  connection: (info: SshConnectionInfo) => void
  ready: (info: SshConnectionInfo, session: Session) => void
  rejected: (info: SshConnectionInfo, denial: Denial, user: string) => void
  judged: (info: SshConnectionInfo, command: Command, judgement: Judgement) => void
  answered: (info: SshConnectionInfo, commandId: number, answer: CommandAnswer) => void
  refused: (info: SshConnectionInfo, via: string, denial: Denial) => void
  failed: (info: SshConnectionInfo, error: SallyportError) => void
  closed: (info: SshConnectionInfo) => void
}
