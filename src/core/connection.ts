import type { Relation, RelationReference } from './catalog.js'
import type { Command } from './command.js'
import type { Denial, Obligations } from './decision.js'
import type { SallyportError } from './errors.js'
import type { TextMasker } from './masking.js'
import type { Secret } from './secret.js'
import type { Side } from './side.js'
import type { SqlAnalyzer } from './sql-facts.js'
import type { Subject } from './subject.js'

/** What a TLS handshake on one side established; told to the connection by the driver. */
export interface TlsInfo {
  /** Downstream: the verified client certificate's subject common name and alternative names, if one was asked for. */
  readonly peerName?: string
  readonly alpn?: string
  /** Upstream: DER bytes of the server's certificate, for channel binding. */
  readonly peerCertificate?: Uint8Array
  /** Whether the peer's certificate was verified against a trusted root and the expected name. */
  readonly isVerified: boolean
}

/** What upstream is to be logged in with. Held by the gateway; never sent downstream. */
export interface UpstreamCredentials {
  readonly user: string
  readonly password?: Secret<string>
  /** Instead of the database the client named. */
  readonly database?: string
}

/** What a downstream client offers to prove who it is, for the identity layer to judge. */
export type IdentityProof =
  | { readonly method: 'none'; readonly user: string }
  | { readonly method: 'password'; readonly user: string; readonly password: Secret<string> }
  | { readonly method: 'scram-sha-256'; readonly user: string }
  | { readonly method: 'certificate'; readonly user: string; readonly peerName: string }

/** How one user has to prove who they are. */
export type IdentityChallenge =
  /** Nothing to prove here: established by other means (in-process, client certificate). */
  | { readonly method: 'none' }
  | { readonly method: 'certificate' }
  /** The password or token itself, over TLS unless the connection allows otherwise. */
  | { readonly method: 'password' }
  | { readonly method: 'scram-sha-256'; readonly verifier: ScramVerifier }

/** What a server keeps of a SCRAM secret (RFC 5802 section 3). */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** What a connection is handed once the client's identity is settled and its session is open. */
export interface Admission {
  readonly subject: Subject
  /** Turns statement texts into facts; shares its cache with the session's other users. */
  readonly analyzer: SqlAnalyzer
  /** For text that belongs to no one command. Undefined: nothing to mask. */
  readonly textMasker: TextMasker | undefined
}

/** What a target knows one session by when somebody wants to cancel what it runs. */
export interface CancelTarget {
  readonly processId: number
  readonly secretKey: Uint8Array
}

/** How a permitted command ended, told once per command in the order of the answers. */
export interface CommandAnswer {
  /** `interrupted`: the connection ended, or the command was discarded by an earlier error in its pipeline. */
  readonly outcome: 'completed' | 'failed' | 'suspended' | 'interrupted'
  /** The server's own words: command tags, one per statement. */
  readonly tags: readonly string[]
  readonly rows: number
  readonly bytes: number
  /** SQLSTATE or the protocol's error code. */
  readonly errorCode?: string
  /** Masked. */
  readonly errorMessage?: string
  /** What a program returned to its parent. */
  readonly exitCode?: number
  /** The signal that ended it, such as `TERM`. */
  readonly signal?: string
}

/**
 * What a connection asks its driver to do. Events must be handled in order. Byte arrays of `write` are
 * given away unless the driver passed a reused buffer to `receive`: then they are views of it and must be
 * written or copied before `receive` is called again.
 */
export type ConnectionEvent =
  | { readonly type: 'write'; readonly to: Side; readonly bytes: Uint8Array }
  /** Judge it, then call `permit` or `refuse`. */
  | { readonly type: 'command'; readonly command: Command }
  | { readonly type: 'answer'; readonly commandId: number; readonly answer: CommandAnswer }
  /** Output after masking, only for commands permitted with record level `full`. A view: copy to keep. */
  | { readonly type: 'output'; readonly commandId: number; readonly channel: string; readonly bytes: Uint8Array }
  /** A client asks to be let in as `user`: answer with `challenge` or `reject`. */
  | {
      readonly type: 'identify'
      readonly user: string
      readonly database?: string
      readonly isEncrypted: boolean
      readonly peerName?: string
    }
  /** The client has given its proof (SCRAM: proved by the connection itself): answer with `authenticated` or `reject`. */
  | { readonly type: 'authenticate'; readonly proof: IdentityProof }
  /** Connect to the target, then call `upstreamReady` with what to log in with. */
  | { readonly type: 'connect' }
  /** Put TLS on this side, then call `tlsStarted`. No byte may be read from or written to the side in between. */
  | { readonly type: 'startTls'; readonly side: Side }
  /**
   * Look these up in the target's catalogue, with all that their views are made of, then call `resolved`. Unknown ones
   * are left out of the answer.
   */
  | { readonly type: 'resolve'; readonly oids: readonly number[]; readonly names: readonly RelationReference[] }
  /** The command may have changed the target's catalogue: forget what was looked up. */
  | { readonly type: 'catalogChanged' }
  /** Somebody asks to cancel what another session runs. */
  | { readonly type: 'cancelRequest'; readonly processId: number; readonly secretKey: Uint8Array }
  /** The side that a held or running command belongs to was told to cancel: withdraw its hold. */
  | { readonly type: 'withdraw'; readonly commandId: number }
  /** A cap was reached: ask the target to cancel what this session runs, if there is a way to. What it still sends is swallowed. */
  | { readonly type: 'cancelUpstream' }
  /** A message was refused by the connection itself, before any rule saw it: for the record. */
  | { readonly type: 'refused'; readonly via: string; readonly denial: Denial }
  /** The session is established: commands may follow. */
  | { readonly type: 'ready' }
  /** Flush what was written to this side, then close it. */
  | { readonly type: 'close'; readonly side: Side; readonly error?: SallyportError }

/**
 * A protocol as a pure state machine between two sides: bytes in, events out. It has no socket, clock,
 * timer or promise. Call `next` until it is empty after every other call.
 *
 * INVARIANT: nothing of a command reaches upstream before `permit`.
 */
export interface Connection {
  /**
   * Never throws for what a peer sent: that ends in `close` events.
   *
   * @param chunk belongs to the connection from here on, unless it is lent
   * @param isLent the driver reuses the chunk's memory as soon as {@link Connection.next} has run empty: what
   *   the connection keeps beyond that it must copy. `write` events may still be views of it
   */
  receive(from: Side, chunk: Uint8Array, isLent?: boolean): void
  /** The side will send nothing more. */
  end(from: Side): void
  next(): ConnectionEvent | undefined
  permit(commandId: number, obligations?: Obligations): void
  /** The connection owns the reply's order and resynchronisation. */
  refuse(commandId: number, denial: Denial): void
  /** Tells the client something while its command waits, where the protocol can. */
  inform(commandId: number, text: string): void
  /** False while a hold, a pending look-up or a full buffer means that this side must wait. */
  wantsRead(from: Side): boolean

  challenge(challenge: IdentityChallenge): void
  authenticated(admission: Admission): void
  /** Refuses the log-in politely. */
  reject(denial: Denial): void
  upstreamReady(credentials: UpstreamCredentials): void
  upstreamFailed(error: SallyportError): void
  tlsStarted(side: Side, info: TlsInfo): void
  resolved(relations: readonly Relation[]): void
  /** Ends the session from outside: drain, revocation, timeout. The client is told politely. */
  shutdown(denial: Denial): void

  /** What to cancel upstream for this session, once the target has told it. Undefined: it cannot be cancelled. */
  cancelTarget?(): CancelTarget | undefined
  /**
   * While paused, permitted commands that have not left yet stay here: a cancel request is on its way
   * upstream and must not hit the next statement.
   */
  pauseCommands?(isPaused: boolean): void
}
