import type {
  Admission,
  Command,
  CommandAnswer,
  Connection,
  ConnectionEvent,
  Denial,
  IdentityChallenge,
  Obligations,
  Relation,
  RelationReference,
  SallyportError,
  Side,
  TlsInfo,
  UpstreamCredentials,
} from '../core/index.js'
import type { Chunking } from './chunkings.js'

/** What a test answers in a driver's place. What is left out makes the harness stop there. */
export interface HarnessAnswers {
  readonly challenge?: (user: string) => IdentityChallenge
  readonly admission?: Admission
  readonly credentials?: UpstreamCredentials
  readonly tls?: Partial<Record<Side, TlsInfo>>
  readonly relations?: (oids: readonly number[], names: readonly RelationReference[]) => readonly Relation[]
  /** A denial refuses, obligations permit, undefined leaves the command waiting. */
  readonly judge?: (command: Command) => Denial | Obligations | undefined
}

/**
 * Drives a connection without any transport: gathers what it writes, and answers its questions at once.
 *
 * @example
 * const harness = new ConnectionHarness(protocol.createConnection(context), answers)
 * harness.receive('downstream', startupPacket)
 * expect(harness.written('upstream')).toEqual(...)
 */
export class ConnectionHarness {
  readonly connection: Connection
  readonly commands: Command[] = []
  readonly answers: { readonly commandId: number; readonly answer: CommandAnswer }[] = []
  /** Everything but writes, in order, by type. */
  readonly events: ConnectionEvent[] = []
  readonly #handlers: HarnessAnswers
  readonly #written: Record<Side, Buffer[]> = { downstream: [], upstream: [] }
  readonly #closed: Partial<Record<Side, SallyportError | 'closed'>> = {}

  constructor(connection: Connection, answers: HarnessAnswers = {}) {
    this.connection = connection
    this.#handlers = answers
  }

  /** Gives the bytes in chunks, each lent: overwritten as soon as the connection has come to rest. */
  receive(from: Side, bytes: Uint8Array, chunking?: Chunking): void {
    for (const chunk of chunking === undefined ? [bytes] : chunking(bytes)) {
      const lent = Buffer.from(chunk)
      this.connection.receive(from, lent, true)
      this.pump()
      lent.fill(0xee)
    }
  }

  end(from: Side): void {
    this.connection.end(from)
    this.pump()
  }

  /** All that was written to this side so far. */
  written(to: Side): Buffer {
    return Buffer.concat(this.#written[to])
  }

  /** What was written to this side since the last call. */
  take(to: Side): Buffer {
    const bytes = this.written(to)
    this.#written[to] = []
    return bytes
  }

  /** How this side was closed; undefined while it is open. */
  closed(side: Side): SallyportError | 'closed' | undefined {
    return this.#closed[side]
  }

  pump(): void {
    for (let event = this.connection.next(); event !== undefined; event = this.connection.next()) this.#handle(event)
  }

  #handle(event: ConnectionEvent): void {
    const { connection } = this
    const handlers = this.#handlers
    if (event.type === 'write') {
      this.#written[event.to].push(Buffer.from(event.bytes))
      return
    }
    this.events.push(event)
    switch (event.type) {
      case 'command': {
        this.commands.push(event.command)
        const verdict = handlers.judge === undefined ? {} : handlers.judge(event.command)
        if (verdict === undefined) return
        if ('reason' in verdict) connection.refuse(event.command.id, verdict)
        else connection.permit(event.command.id, verdict)
        return
      }
      case 'answer':
        this.answers.push(event)
        return
      case 'identify':
        connection.challenge(handlers.challenge?.(event.user) ?? { method: 'none' })
        return
      case 'authenticate':
        if (handlers.admission !== undefined) connection.authenticated(handlers.admission)
        return
      case 'connect':
        if (handlers.credentials !== undefined) connection.upstreamReady(handlers.credentials)
        return
      case 'startTls': {
        const info = handlers.tls?.[event.side]
        if (info !== undefined) connection.tlsStarted(event.side, info)
        return
      }
      case 'resolve':
        if (handlers.relations !== undefined) connection.resolved(handlers.relations(event.oids, event.names))
        return
      case 'close':
        this.#closed[event.side] ??= event.error ?? 'closed'
        return
      default:
        return
    }
  }
}
