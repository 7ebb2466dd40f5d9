import {
  type Admission,
  type CancelTarget,
  type Connection,
  type ConnectionEvent,
  type Denial,
  type IdentityChallenge,
  type Obligations,
  type ProtocolContext,
  type Relation,
  SallyportError,
  type Side,
  type TlsInfo,
  type UpstreamCredentials,
} from '../../core/index.js'
import { BackendHalf } from './connection-backend.js'
import { DownstreamLogin, type Login } from './connection-downstream-login.js'
import { FastLane } from './fast-lane.js'
import { FrontendHalf } from './connection-frontend.js'
import { Shared } from './connection-shared.js'
import { UpstreamLogin } from './connection-upstream-login.js'
import { backendKeyData, errorResponse, noticeResponse, readyForQuery } from './messages.js'
import { limitsOf, type PostgresOptions } from './options.js'
import { denialResponse } from './refusal.js'
import type { ResultPlans } from './results.js'

const NO_OBLIGATIONS: Obligations = {}

/**
 * One PostgreSQL connection as a pure state machine between a client and a server.
 *
 * It goes through: the client's log-in (`DownstreamLogin`), the gateway's log-in to the target (`UpstreamLogin`), and then
 * both at once: commands (`FrontendHalf`) and answers (`BackendHalf`) until one side closes.
 *
 * @see https://www.postgresql.org/docs/18/protocol.html
 */
export class PostgresConnection implements Connection {
  readonly #shared: Shared
  readonly #downstream: DownstreamLogin
  readonly #upstream: UpstreamLogin
  readonly #frontend: FrontendHalf
  readonly #backend: BackendHalf
  readonly #lane: FastLane
  #isReady = false
  #shutdown: Denial | undefined

  /** @param hasFastLane false: for tests that compare */
  constructor(context: ProtocolContext, options: PostgresOptions, plans: ResultPlans, hasFastLane = true) {
    const shared = new Shared(context, limitsOf(options), plans)
    this.#shared = shared
    this.#frontend = new FrontendHalf(shared)
    shared.onClose = () => this.#frontend.abandon()
    this.#backend = new BackendHalf(shared)
    this.#lane = new FastLane(shared, this.#frontend, this.#backend, hasFastLane)
    this.#downstream = new DownstreamLogin(
      context,
      options.startupParameters,
      shared.fromClient,
      shared.toClient,
      shared.events,
    )
    this.#upstream = new UpstreamLogin(
      context,
      shared.limits,
      options.upstreamAuth ?? ['scram-sha-256-plus', 'scram-sha-256'],
      options.upstreamMinor ?? 0,
      shared.fromTarget,
      shared.toTarget,
      shared.events,
      {
        asynchronous: (type, start, end) => this.#backend.asynchronous(type, start, end),
        ready: (start, end) => this.#becomeReady(start, end),
      },
    )
  }

  receive(from: Side, chunk: Uint8Array, isLent = false): void {
    if (this.#shared.isClosed) return
    if (this.#lane.isBusy && !(from === 'upstream' && this.#lane.isSent)) this.#lane.handOver()
    if (from === 'downstream') this.#shared.fromClient.push(chunk, isLent)
    else this.#shared.fromTarget.push(chunk, isLent)
  }

  end(from: Side): void {
    const shared = this.#shared
    if (shared.isClosed) return
    this.#lane.handOver()
    if (this.#isReady) {
      if (from === 'downstream') this.#frontend.end()
      else this.#backend.end()
      return
    }
    if (from === 'upstream' && this.#downstream.isDone) {
      this.#refuseLogin(
        '08006',
        'the target closed the connection',
        new SallyportError('upstream_unavailable', 'the target closed the connection while logging in'),
      )
    } else {
      shared.close(
        new SallyportError('connection_closed', 'the connection was closed while logging in', { blame: from }),
      )
    }
  }

  next(): ConnectionEvent | undefined {
    for (;;) {
      const event = this.#shared.events.shift()
      if (event !== undefined) return event
      if (!this.#advance()) return undefined
    }
  }

  permit(commandId: number, obligations: Obligations = NO_OBLIGATIONS): void {
    const lane = this.#lane
    if (lane.isBusy && lane.permit(commandId, obligations)) return
    lane.handOver()
    this.#frontend.permit(commandId, obligations)
  }

  refuse(commandId: number, denial: Denial): void {
    this.#lane.handOver()
    this.#frontend.refuse(commandId, denial)
  }

  inform(_commandId: number, text: string): void {
    if (this.#shared.isClosed) return
    this.#lane.handOver()
    this.#backend.notify(noticeResponse({ severity: 'NOTICE', code: '00000', message: text }))
  }

  wantsRead(from: Side): boolean {
    const shared = this.#shared
    if (shared.isClosed) return false
    if (from === 'upstream') return !this.#backend.isResolving
    return (
      shared.fromClient.available <
      shared.limits.maxWaitingBytes + (this.#frontend.isWaiting ? 0 : shared.limits.maxCommandBytes)
    )
  }

  challenge(challenge: IdentityChallenge): void {
    if (!this.#shared.isClosed) this.#downstream.challenge(challenge)
  }

  authenticated(admission: Admission): void {
    const shared = this.#shared
    if (shared.isClosed) return
    this.#downstream.authenticated()
    shared.admission = admission
    shared.events.push({ type: 'connect' })
  }

  reject(denial: Denial): void {
    if (!this.#shared.isClosed) this.#downstream.reject(denial)
  }

  upstreamReady(credentials: UpstreamCredentials): void {
    if (!this.#shared.isClosed) this.#upstream.begin(credentials, this.#downstream.login as Login)
  }

  upstreamFailed(error: SallyportError): void {
    this.#refuseLogin('08006', 'the target cannot be reached', error)
  }

  tlsStarted(side: Side, info: TlsInfo): void {
    if (side === 'downstream') this.#downstream.tlsStarted(info)
    else this.#upstream.tlsStarted(info)
  }

  resolved(relations: readonly Relation[]): void {
    try {
      this.#backend.resolved(relations)
    } catch (cause) {
      this.#broken(cause)
    }
  }

  shutdown(denial: Denial): void {
    const shared = this.#shared
    if (shared.isClosed) return
    this.#lane.handOver()
    this.#shutdown = denial
    if (this.#backend.isBetweenMessages) {
      this.#backend.flush()
      shared.toClient.send(
        denialResponse(denial, 'FATAL', denial.reason === 'recorder-unavailable' ? undefined : '57P01'),
      )
    }
    shared.close()
  }

  cancelTarget(): CancelTarget | undefined {
    return this.#shared.owed.length > 0 || this.#lane.isSent ? this.#upstream.cancelTarget : undefined
  }

  pauseCommands(isPaused: boolean): void {
    this.#lane.handOver()
    this.#frontend.pause(isPaused)
  }

  /** Moves both sides as far as they go. Returns whether there is an event. */
  #advance(): boolean {
    const shared = this.#shared
    try {
      if (!this.#isReady) this.#login()
      if (this.#isReady && !this.#lane.advance()) this.#exchange()
    } catch (cause) {
      this.#broken(cause)
    }
    if (shared.events.length > 0) return true
    this.#backend.flush()
    while (!shared.toTarget.isEmpty) shared.toTarget.flush()
    if (shared.events.length > 0) return true
    shared.fromClient.settle()
    shared.fromTarget.settle()
    return false
  }

  #login(): void {
    const { events, isClosed } = this.#shared
    if (isClosed) return
    while (!this.#downstream.isDone && events.length === 0 && this.#downstream.step());
    while (!this.#upstream.isDone && events.length === 0 && this.#upstream.step());
    const { failure } = this.#upstream
    if (failure !== undefined) this.#refuseLogin(failure.code, failure.message, failure.error)
  }

  #exchange(): void {
    const shared = this.#shared
    // Events other than writes wait in the list; the driver must see a command before anything behind it is looked at,
    // and its own half stops there by itself.
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      while (!shared.isClosed && shared.events.length < MAX_EVENTS && this.#backend.step()) isMoving = true
      while (!shared.isClosed && shared.events.length < MAX_EVENTS && this.#frontend.step()) isMoving = true
      if (shared.isClosed || shared.events.length >= MAX_EVENTS) return
    }
  }

  #becomeReady(start: number, end: number): void {
    const shared = this.#shared
    const { minor } = this.#downstream.login as Login
    const { processId, secretKey } = shared.context.cancelKey
    shared.toClient.send(backendKeyData(processId, minor >= 2 ? secretKey : secretKey.subarray(0, 4)))
    const status = shared.fromTarget.bytes[start]
    if (end !== start + 1 || status !== 0x49) throw shared.upstreamViolation('the target starts with a transaction')
    shared.toClient.send(readyForQuery('I'))
    this.#isReady = true
    shared.events.push({ type: 'ready' })
  }

  #refuseLogin(code: string, message: string, error: SallyportError): void {
    const shared = this.#shared
    if (shared.isClosed) return
    shared.toClient.send(errorResponse({ severity: 'FATAL', code, message }))
    shared.close(error)
  }

  /** Whatever goes wrong while reading what a side sent ends the session, and the client is told where it can be. */
  #broken(cause: unknown): void {
    const shared = this.#shared
    this.#lane.handOver()
    const error =
      cause instanceof SallyportError ? cause : new SallyportError('internal', 'the connection failed', { cause })
    if (this.#backend.isBetweenMessages && this.#shutdown === undefined) {
      const isTarget = error.blame === 'upstream'
      shared.toClient.send(
        errorResponse({
          severity: 'FATAL',
          code: isTarget ? '08P01' : error.code === 'limit_exceeded' ? '54000' : 'XX000',
          message: isTarget ? 'the target broke the protocol' : error.message,
        }),
      )
    }
    shared.close(error)
  }
}

/** So that a long pipeline does not gather more events than a driver should find at once. */
const MAX_EVENTS = 64
