import type {
  CancelTarget,
  Command,
  CommandAnswer,
  Connection,
  Denial,
  Relation,
  RelationReference,
  Resource,
  SallyportError,
  Side,
  Subject,
  TlsInfo,
  UpstreamCredentials,
} from '../core/index.js'
import type { Judgement, Session } from '../enforcement/types.js'
import type { Identity } from '../identity/types.js'
import type { Peer } from './peer.js'

/** Where names of relations come from. */
export interface CatalogSource {
  /**
   * With all that their views are made of. Unknown ones are left out. A rejection ends the session that waits.
   *
   * @param names relations of these names; without a schema, those of any
   */
  relations(oids: readonly number[], names: readonly RelationReference[]): Promise<readonly Relation[]>
  /** What was looked up may no longer hold. */
  invalidate(): void
}

/** What is known of a client once it has been let in. */
export interface AdmittedClient {
  readonly subject: Subject
  /** The name given at log-in. */
  readonly user: string
  readonly database?: string
}

/** A new way to the target, and what to log in with. */
export interface UpstreamLink {
  readonly peer: Peer
  readonly credentials: UpstreamCredentials
  /** Lets chunks flow to `receive('upstream', ...)`: called once the driver has taken the peer. */
  start?(): void
}

/** What the driver needs done. Whatever one of these throws or rejects with closes the way it was to open. */
export interface DriverPorts {
  readonly identity: Identity
  openSession(client: AdmittedClient): Session | Promise<Session>
  connect(client: AdmittedClient): Promise<UpstreamLink>
  /**
   * Puts TLS on a side; rejects when that fails, or when bytes came in between. The driver pauses nothing
   * here: from the call on no byte of this side may reach it that was not inside TLS.
   */
  startTls?(side: Side): Promise<TlsInfo>
  catalog?(client: AdmittedClient): CatalogSource
  /** Somebody wants another session's command cancelled; there is no answer either way. */
  cancel?(target: CancelTarget): void
  /** This session's own running command has reached a cap: have the target cancel it, where there is a way to. */
  cancelUpstream?(): void
}

/** Told what happens, for logs and metrics. Must not throw. */
export interface DriverObserver {
  ready?(client: AdmittedClient, session: Session): void
  rejected?(denial: Denial, user: string): void
  judged?(command: Command, judgement: Judgement, session: Session): void
  answered?(commandId: number, answer: CommandAnswer, session: Session): void
  /** The connection refused a message itself, before any rule saw it. */
  refused?(via: string, denial: Denial, session: Session | undefined): void
  /** A side is being closed because of this. */
  failed?(error: SallyportError): void
}

export interface DriverOptions {
  readonly connection: Connection
  /** Protocol name, for the session's analyzer. */
  readonly protocol: string
  readonly resource: Resource
  readonly downstream: Peer
  readonly ports: DriverPorts
  readonly observer?: DriverObserver
  readonly clientAddress?: string
  /** All bytes that one side may send in the life of the connection. Default: no cap. */
  readonly maxReceivedBytes?: Partial<Readonly<Record<Side, number>>>
}
