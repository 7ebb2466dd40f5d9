import {
  otherSide,
  SallyportError,
  type Command,
  type Connection,
  type ConnectionEvent,
  type Denial,
  type ErrorCode,
  type IdentityProof,
  type RelationReference,
  type Side,
} from '../core/index.js'
import type { Judgement, Session } from '../enforcement/types.js'
import type { IdentityRequest } from '../identity/types.js'
import type { AdmittedClient, CatalogSource, DriverObserver, DriverOptions } from './driver-types.js'
import { Outbox } from './outbox.js'
import type { Peer } from './peer.js'

/**
 * While a command waits, this much is still read from its client and set aside: a client that is not read
 * from at all could leave unnoticed, and its hold would outlive it.
 */
const MAX_BACKLOG_BYTES = 65_536

const GONE: Denial = { reason: 'withdrawn', message: 'the connection is gone' }

/** What one held command's `inform` needs to know. Reused from command to command until one of them has to wait. */
interface Informant {
  commandId: number
  readonly inform: (text: string) => void
}

/**
 * Joins one connection and one session to two byte transports. It owns no socket and no timer: transports
 * call `receive`, `ended`, `drained` and `closed`; everything else is a port.
 *
 * Every call into the connection is followed by a pump: events are handled until there are none, then what
 * was written leaves in one write per side. A command whose judgement is known at once costs no promise and
 * no closure.
 *
 * INVARIANT: a port that fails closes what it was to open. Nothing here rejects unhandled.
 */
export class Driver {
  readonly #connection: Connection
  readonly #options: DriverOptions
  readonly #observer: DriverObserver | undefined
  readonly #downstream: Peer
  #upstream: Peer | undefined
  #session: Session | undefined
  #client: AdmittedClient | undefined
  #request: IdentityRequest | undefined
  #catalog: CatalogSource | undefined

  readonly #toDownstream = new Outbox()
  readonly #toUpstream = new Outbox()
  #isDownstreamFull = false
  #isUpstreamFull = false
  #isPumping = false
  #mustPumpAgain = false
  #tlsSide: Side | undefined
  /** Set where this side will send nothing more, or where nothing more is to be read from it. */
  #isDownstreamEnded = false
  #isUpstreamEnded = false
  #isDownstreamClosing = false
  #isUpstreamClosing = false
  #isDownstreamClosed = false
  #isUpstreamClosed = false
  /** The connection itself failed: it is not asked for anything any more. */
  #isBroken = false
  #error: SallyportError | undefined
  #endReason: string | undefined

  readonly #waiting = new Set<number>()
  #backlog: Uint8Array[] = []
  #backlogBytes = 0
  #commandsRunning = 0
  #receivedDownstreamBytes = 0
  #receivedUpstreamBytes = 0
  readonly #maxDownstreamBytes: number
  readonly #maxUpstreamBytes: number
  #spare: Informant | undefined

  #isFinished = false
  #finish: () => void = () => {}
  /** Resolves when both sides are closed and the session's record has ended. Never rejects. */
  readonly finished: Promise<void>

  constructor(options: DriverOptions) {
    this.#options = options
    this.#connection = options.connection
    this.#observer = options.observer
    this.#downstream = options.downstream
    this.#maxDownstreamBytes = options.maxReceivedBytes?.downstream ?? Number.MAX_SAFE_INTEGER
    this.#maxUpstreamBytes = options.maxReceivedBytes?.upstream ?? Number.MAX_SAFE_INTEGER
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** Undefined until the client has been let in. */
  get session(): Session | undefined {
    return this.#session
  }

  get client(): AdmittedClient | undefined {
    return this.#client
  }

  /** No command of this session runs or waits. */
  get isIdle(): boolean {
    return this.#commandsRunning === 0 && this.#waiting.size === 0
  }

  /** Permitted commands that upstream has not answered yet. */
  get commandsRunning(): number {
    return this.#commandsRunning
  }

  /** Grows with every chunk: a sweep that sees the same number twice has found an inactive connection. */
  get receivedBytes(): number {
    return this.#receivedDownstreamBytes + this.#receivedUpstreamBytes
  }

  /** Whether the way to this side's transport still holds bytes that were written to it: then lent memory may still be in use. */
  isFull(side: Side): boolean {
    return side === 'downstream' ? this.#isDownstreamFull : this.#isUpstreamFull
  }

  /** A chunk came in. For `isLent` see {@link Connection.receive}. */
  receive(from: Side, chunk: Uint8Array, isLent = false): void {
    if (from === 'downstream' ? this.#isDownstreamEnded : this.#isUpstreamEnded) return
    if (this.#tlsSide === from) {
      // Fails closed: bytes in the clear between the agreement on TLS and its start were put there by somebody else.
      this.destroy(
        new SallyportError(
          from === 'downstream' ? 'protocol_violation' : 'upstream_protocol_violation',
          'bytes arrived in the clear after TLS was agreed on',
        ),
      )
      return
    }
    if (from === 'downstream') {
      this.#receivedDownstreamBytes += chunk.length
      if (this.#receivedDownstreamBytes > this.#maxDownstreamBytes) return this.#overLimit()
    } else {
      this.#receivedUpstreamBytes += chunk.length
      if (this.#receivedUpstreamBytes > this.#maxUpstreamBytes) return this.#overLimit()
    }
    if (
      from === 'downstream' &&
      (this.#backlogBytes > 0 || (this.#waiting.size > 0 && !this.#connection.wantsRead('downstream')))
    ) {
      this.#backlog.push(isLent ? Buffer.from(chunk) : chunk)
      this.#backlogBytes += chunk.length
      this.#pump()
      return
    }
    this.#connection.receive(from, chunk, isLent)
    this.#pump()
  }

  /** The side has closed its half. */
  ended(from: Side): void {
    if (from === 'downstream') {
      if (this.#isDownstreamEnded) return
      this.#isDownstreamEnded = true
      // Whoever asked is gone, or will never hear of it: nothing may run on their behalf any more.
      this.#withdrawAll()
    } else {
      if (this.#isUpstreamEnded) return
      this.#isUpstreamEnded = true
    }
    this.#connection.end(from)
    this.#pump()
  }

  /** The side's transport has room again. */
  drained(side: Side): void {
    if (side === 'downstream') this.#isDownstreamFull = false
    else this.#isUpstreamFull = false
    this.#pump()
  }

  /** The side's transport is gone, for whatever reason. Idempotent. */
  closed(side: Side, error?: Error): void {
    if (side === 'downstream') {
      if (this.#isDownstreamClosed) return
      this.#isDownstreamClosed = true
      this.#isDownstreamClosing = true
      this.#isDownstreamFull = false
    } else {
      if (this.#isUpstreamClosed) return
      this.#isUpstreamClosed = true
      this.#isUpstreamClosing = true
      this.#isUpstreamFull = false
    }
    if (error !== undefined) this.#endReason ??= `${side} transport failed`
    this.ended(side)
    // The connection has said its last words to the other side by now.
    this.#close(otherSide(side))
    this.#settle()
  }

  /** Ends the session from outside. The client is told politely where the protocol can. */
  shutdown(denial: Denial): void {
    this.#endReason ??= `${denial.reason}: ${denial.message}`
    this.#withdrawAll()
    this.#connection.shutdown(denial)
    this.#pump()
  }

  /** Closes both sides at once, without a word. */
  destroy(error?: SallyportError): void {
    if (error !== undefined) this.#fail(error)
    this.#endReason ??= 'destroyed'
    this.#toDownstream.clear()
    this.#toUpstream.clear()
    this.#isDownstreamEnded = true
    this.#isUpstreamEnded = true
    this.#withdrawAll()
    this.#isDownstreamClosing = true
    this.#isUpstreamClosing = true
    this.#downstream.destroy()
    this.#upstream?.destroy()
    this.#isDownstreamClosed = true
    this.#isUpstreamClosed = true
    if (error?.code === 'internal') this.#isBroken = true
    this.#settle()
  }

  /** While paused, commands that are permitted stay here. */
  pauseCommands(isPaused: boolean): void {
    this.#connection.pauseCommands?.(isPaused)
    this.#pump()
  }

  /** Withdraws every hold of this session: its client asked to cancel. */
  withdrawAll(): boolean {
    return this.#withdrawAll()
  }

  #overLimit(): void {
    this.shutdown({ reason: 'limit', message: 'the connection has sent more bytes than it may' })
  }

  #withdrawAll(): boolean {
    const had = this.#waiting.size > 0
    for (const commandId of this.#waiting) this.#session?.withdraw(commandId)
    return had
  }

  #pump(): void {
    if (this.#isPumping) {
      this.#mustPumpAgain = true
      return
    }
    this.#isPumping = true
    try {
      do {
        this.#mustPumpAgain = false
        for (let event = this.#connection.next(); event !== undefined; event = this.#connection.next()) {
          this.#handle(event)
        }
        this.#flushDownstream()
        this.#flushUpstream()
        if (this.#backlogBytes > 0) this.#feedBacklog()
      } while (this.#mustPumpAgain)
    } catch (cause) {
      // Fails closed: whatever went wrong in here, this session's state is no longer known.
      this.destroy(new SallyportError('internal', 'a connection could not be driven further', { cause }))
    } finally {
      this.#isPumping = false
    }
    this.#regulate()
  }

  #feedBacklog(): void {
    if (this.#isDownstreamClosing || !this.#connection.wantsRead('downstream')) return
    const chunk = this.#backlog.shift()
    if (chunk === undefined) return
    this.#backlogBytes -= chunk.length
    this.#connection.receive('downstream', chunk)
    this.#mustPumpAgain = true
  }

  #handle(event: ConnectionEvent): void {
    switch (event.type) {
      case 'write':
        if (event.to === 'downstream') this.#toDownstream.add(event.bytes)
        else this.#toUpstream.add(event.bytes)
        return
      case 'command':
        return this.#judge(event.command)
      case 'answer':
        this.#commandsRunning--
        this.#session?.answered(event.commandId, event.answer)
        if (this.#session !== undefined) this.#observer?.answered?.(event.commandId, event.answer, this.#session)
        return
      case 'output':
        this.#session?.output(event.commandId, event.channel, event.bytes)
        return
      case 'identify':
        void this.#identify(event)
        return
      case 'authenticate':
        void this.#authenticate(event.proof)
        return
      case 'connect':
        void this.#connect()
        return
      case 'startTls':
        void this.#startTls(event.side)
        return
      case 'resolve':
        void this.#resolve(event.oids, event.names)
        return
      case 'catalogChanged':
        this.#catalogSource()?.invalidate()
        return
      case 'cancelRequest':
        this.#options.ports.cancel?.({ processId: event.processId, secretKey: event.secretKey })
        return
      case 'withdraw':
        this.#session?.withdraw(event.commandId)
        return
      case 'cancelUpstream':
        this.#options.ports.cancelUpstream?.()
        return
      case 'refused':
        this.#session?.refused(event.via, event.denial)
        this.#observer?.refused?.(event.via, event.denial, this.#session)
        return
      case 'ready':
        if (this.#client !== undefined && this.#session !== undefined) {
          this.#observer?.ready?.(this.#client, this.#session)
        }
        return
      case 'close':
        if (event.error !== undefined) this.#fail(event.error)
        return this.#close(event.side)
      default:
        event satisfies never
    }
  }

  #judge(command: Command): void {
    const session = this.#session
    if (session === undefined) throw new SallyportError('internal', 'a command came before its session was open')
    const informant = (this.#spare ??= this.#createInformant())
    informant.commandId = command.id
    const judgement = session.judge(command, informant.inform)
    if ('permitted' in judgement) {
      this.#apply(command, judgement, session)
      return
    }
    this.#spare = undefined
    void this.#judgeLater(command, judgement, session)
  }

  #createInformant(): Informant {
    const informant: Informant = {
      commandId: 0,
      inform: (text) => {
        if (this.#isDownstreamClosing) return
        this.#connection.inform(informant.commandId, text)
        this.#pump()
      },
    }
    return informant
  }

  async #judgeLater(command: Command, judgement: Promise<Judgement>, session: Session): Promise<void> {
    this.#waiting.add(command.id)
    let verdict: Judgement
    try {
      verdict = await judgement
    } catch {
      // Fails closed: a session promises not to reject; one that does has decided nothing.
      verdict = { permitted: false, denial: { reason: 'engine-error', message: 'the command could not be judged' } }
    }
    this.#waiting.delete(command.id)
    if (this.#isFinished || (this.#isDownstreamClosed && this.#isUpstreamClosed)) return
    this.#guarded(() => this.#apply(command, verdict, session))
  }

  #apply(command: Command, judgement: Judgement, session: Session): void {
    if (judgement.permitted) {
      this.#commandsRunning++
      this.#connection.permit(command.id, judgement.obligations)
    } else {
      this.#connection.refuse(command.id, judgement.denial)
    }
    this.#observer?.judged?.(command, judgement, session)
  }

  async #identify(event: Extract<ConnectionEvent, { type: 'identify' }>): Promise<void> {
    const request: IdentityRequest = {
      user: event.user,
      resource: this.#options.resource,
      isEncrypted: event.isEncrypted,
      ...(event.database === undefined ? {} : { database: event.database }),
      ...(event.peerName === undefined ? {} : { peerName: event.peerName }),
      ...(this.#options.clientAddress === undefined ? {} : { clientAddress: this.#options.clientAddress }),
    }
    this.#request = request
    try {
      const challenge = await this.#options.ports.identity.challenge(request)
      this.#guarded(() => this.#connection.challenge(challenge))
    } catch (cause) {
      this.#reject({ reason: 'engine-error', message: 'authentication is not available' }, cause)
    }
  }

  async #authenticate(proof: IdentityProof): Promise<void> {
    const { ports } = this.#options
    const request = this.#request
    try {
      if (request === undefined) throw new SallyportError('internal', 'a proof came before its challenge')
      const verdict = await ports.identity.authenticate(proof, request)
      if (!verdict.isAdmitted) return this.#reject(verdict.denial)
      if (this.#isDownstreamEnded) return
      const client: AdmittedClient = {
        subject: verdict.subject,
        user: request.user,
        ...(request.database === undefined ? {} : { database: request.database }),
      }
      const session = await ports.openSession(client)
      if (this.#isFinished) {
        await session.end('the client left while its session was being opened')
        return
      }
      this.#client = client
      this.#session = session
      session.onFailure((denial) => this.shutdown(denial))
      this.#guarded(() =>
        this.#connection.authenticated({
          subject: verdict.subject,
          analyzer: session.analyzer(this.#options.protocol),
          textMasker: session.textMasker,
        }),
      )
    } catch (cause) {
      this.#reject({ reason: 'engine-error', message: 'no session could be opened' }, cause)
    }
  }

  #reject(denial: Denial, cause?: unknown): void {
    if (cause !== undefined) this.#fail(asError(cause, 'internal', denial.message))
    this.#endReason ??= denial.message
    this.#guarded(() => this.#connection.reject(denial))
    this.#observer?.rejected?.(denial, this.#request?.user ?? '')
  }

  async #connect(): Promise<void> {
    try {
      const client = this.#client
      if (client === undefined) throw new SallyportError('internal', 'upstream was asked for before log-in')
      const link = await this.#options.ports.connect(client)
      if (this.#isDownstreamClosing || this.#isFinished) {
        link.peer.destroy()
        return
      }
      this.#upstream = link.peer
      link.start?.()
      this.#guarded(() => this.#connection.upstreamReady(link.credentials))
    } catch (cause) {
      this.#isUpstreamClosed = true
      this.#upstreamFailed(asError(cause, 'upstream_unavailable', 'the target could not be reached'))
    }
  }

  async #startTls(side: Side): Promise<void> {
    this.#flushDownstream()
    this.#flushUpstream()
    this.#tlsSide = side
    try {
      const { startTls } = this.#options.ports
      if (startTls === undefined) throw new SallyportError('internal', 'TLS was agreed on where none can be had')
      // Called in the same turn in which the last byte in the clear was read and written.
      const info = await startTls(side)
      this.#tlsSide = undefined
      if (this.#isFinished) return
      this.#guarded(() => this.#connection.tlsStarted(side, info))
    } catch (cause) {
      this.#tlsSide = undefined
      if (side === 'upstream') {
        this.#isUpstreamClosing = true
        this.#isUpstreamClosed = true
        this.#upstream?.destroy()
        this.#upstreamFailed(asError(cause, 'upstream_tls_required', 'TLS with the target could not be established'))
      } else {
        this.destroy(asError(cause, 'protocol_violation', 'TLS with the client could not be established'))
      }
    }
  }

  #upstreamFailed(error: SallyportError): void {
    this.#fail(error)
    this.#endReason ??= error.message
    this.#guarded(() => this.#connection.upstreamFailed(error))
  }

  #catalogSource(): CatalogSource | undefined {
    if (this.#catalog === undefined && this.#client !== undefined) {
      this.#catalog = this.#options.ports.catalog?.(this.#client)
    }
    return this.#catalog
  }

  async #resolve(oids: readonly number[], names: readonly RelationReference[]): Promise<void> {
    try {
      const source = this.#catalogSource()
      // Without a catalogue nothing is known: the connection then treats every column as coming from anywhere.
      const relations = source === undefined ? [] : await source.relations(oids, names)
      if (this.#isFinished) return
      this.#guarded(() => this.#connection.resolved(relations))
    } catch (cause) {
      // Fails closed: without names it cannot be told which columns are to be masked.
      this.#fail(asError(cause, 'upstream_unavailable', 'the catalogue could not be read'))
      this.shutdown({ reason: 'masking', message: 'the origin of the columns could not be looked up' })
    }
  }

  /** Runs one call into the connection and what follows from it. */
  #guarded(call: () => void): void {
    try {
      call()
    } catch (cause) {
      this.destroy(new SallyportError('internal', 'a connection could not be driven further', { cause }))
      return
    }
    this.#pump()
  }

  #fail(error: SallyportError): void {
    this.#error ??= error
    this.#endReason ??= error.message
    this.#observer?.failed?.(error)
  }

  #flushDownstream(): void {
    if (this.#isDownstreamClosing) this.#toDownstream.clear()
    else if (!this.#toDownstream.flush(this.#downstream)) this.#isDownstreamFull = true
  }

  #flushUpstream(): void {
    if (this.#isUpstreamClosing || this.#upstream === undefined) this.#toUpstream.clear()
    else if (!this.#toUpstream.flush(this.#upstream)) this.#isUpstreamFull = true
  }

  #close(side: Side): void {
    if (side === 'downstream') {
      if (this.#isDownstreamClosing) return
      this.#flushDownstream()
      this.#isDownstreamClosing = true
      this.#isDownstreamEnded = true
      this.#withdrawAll()
      this.#downstream.end()
      // A client that is being sent away needs nothing of the target any more.
      if (this.#upstream === undefined) this.#isUpstreamClosed = true
    } else {
      if (this.#isUpstreamClosing) return
      this.#flushUpstream()
      this.#isUpstreamClosing = true
      this.#isUpstreamEnded = true
      if (this.#upstream === undefined) this.#isUpstreamClosed = true
      else this.#upstream.end()
    }
  }

  /** Reads from a side only where what comes has somewhere to go. */
  #regulate(): void {
    if (this.#tlsSide !== 'downstream' && !this.#isDownstreamClosing && !this.#isDownstreamEnded) {
      if (this.#wantsDownstream()) this.#downstream.resume()
      else this.#downstream.pause()
    }
    const upstream = this.#upstream
    if (upstream === undefined || this.#tlsSide === 'upstream' || this.#isUpstreamClosing || this.#isUpstreamEnded)
      return
    // Upstream is read even while it takes nothing: it may be waiting for us to take its answers.
    if (!this.#isDownstreamFull && this.#connection.wantsRead('upstream')) upstream.resume()
    else upstream.pause()
  }

  #wantsDownstream(): boolean {
    // A client that does not read its answers is not read from either, or refusals would pile up.
    if (this.#isDownstreamFull || this.#isUpstreamFull) return false
    if (this.#backlogBytes === 0 && this.#connection.wantsRead('downstream')) return true
    return this.#waiting.size > 0 && this.#backlogBytes < MAX_BACKLOG_BYTES
  }

  #settle(): void {
    if (this.#isFinished || !this.#isDownstreamClosed) return
    if (!this.#isUpstreamClosed && this.#upstream !== undefined) return
    // For the record: what was running hears that it was interrupted. Nobody is left to be told anything.
    if (!this.#isBroken) {
      this.#connection.shutdown(GONE)
      this.#pump()
    }
    if (this.#isFinished) return
    this.#isFinished = true
    const reason = this.#endReason ?? this.#error?.message ?? 'the client disconnected'
    const session = this.#session
    if (session === undefined) {
      this.#finish()
      return
    }
    // The record's own failure has been told by `onFailure`.
    session.end(reason).then(this.#finish, this.#finish)
  }
}

/** Makes a driver; see {@link Driver}. */
export function createDriver(options: DriverOptions): Driver {
  return new Driver(options)
}

function asError(cause: unknown, code: ErrorCode, message: string): SallyportError {
  return cause instanceof SallyportError ? cause : new SallyportError(code, message, { cause })
}
