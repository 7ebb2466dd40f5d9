import {
  SallyportError,
  type ChunkReader,
  type ConnectionEvent,
  type Fifo,
  type Outbox,
  type ProtocolContext,
  type TlsInfo,
  type UpstreamCredentials,
} from '../../core/index.js'
import { decodeAuthentication, decodeBackendKeyData, decodeErrorFields, decodeNegotiate } from './backend.js'
import type { Login } from './connection-downstream-login.js'
import { md5Response } from './md5.js'
import { Backend } from './message-types.js'
import { passwordMessage, saslInitialResponse, saslResponse, sslRequest, startupMessage } from './messages.js'
import type { PostgresLimits, UpstreamAuthMethod } from './options.js'
import { canBindChannel, ScramClient } from './scram.js'

const MAX_LOGIN_MESSAGE_BYTES = 65_536

type State = 'idle' | 'ssl-reply' | 'tls' | 'authentication' | 'settling' | 'done'

/** What the log-in hands to the established session besides being done. */
export interface UpstreamLoginSink {
  /** A frame of the settling phase that the client is to see as well: ParameterStatus, NoticeResponse. */
  asynchronous(type: number, start: number, end: number): void
  /** ReadyForQuery came: `bytes[start, end)` is its body. */
  ready(start: number, end: number): void
}

/**
 * The gateway's way in to the target, with the credential it holds, played from the client's side.
 *
 * @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
export class UpstreamLogin {
  /** The target's own cancel key. */
  cancelTarget: { readonly processId: number; readonly secretKey: Uint8Array } | undefined
  /** Set when the log-in failed; nothing of it is for the client but its message. */
  failure: { readonly error: SallyportError; readonly code: string; readonly message: string } | undefined
  readonly #context: ProtocolContext
  readonly #limits: PostgresLimits
  readonly #methods: ReadonlySet<UpstreamAuthMethod>
  readonly #minor: 0 | 2
  readonly #reader: ChunkReader
  readonly #out: Outbox
  readonly #events: Fifo<ConnectionEvent>
  readonly #sink: UpstreamLoginSink
  #state: State = 'idle'
  #credentials: UpstreamCredentials | undefined
  #login: Login | undefined
  #tls: TlsInfo | undefined
  #scram: ScramClient | undefined
  #isServerVerified = false
  #usedMethod: UpstreamAuthMethod = 'none'

  constructor(
    context: ProtocolContext,
    limits: PostgresLimits,
    methods: readonly UpstreamAuthMethod[],
    minor: 0 | 2,
    reader: ChunkReader,
    out: Outbox,
    events: Fifo<ConnectionEvent>,
    sink: UpstreamLoginSink,
  ) {
    this.#context = context
    this.#limits = limits
    this.#methods = new Set(methods)
    this.#minor = minor
    this.#reader = reader
    this.#out = out
    this.#events = events
    this.#sink = sink
  }

  get isDone(): boolean {
    return this.#state === 'done'
  }

  begin(credentials: UpstreamCredentials, login: Login): void {
    if (this.#state !== 'idle') throw new SallyportError('misuse', 'the log-in to the target has begun already')
    this.#credentials = credentials
    this.#login = login
    if (this.#context.upstreamTls === 'required') {
      this.#out.send(sslRequest())
      this.#state = 'ssl-reply'
    } else {
      this.#start()
    }
  }

  tlsStarted(info: TlsInfo): void {
    this.#tls = info
    if (this.#state === 'tls') this.#start()
  }

  /** Handles one message if it is there. Returns whether it did. */
  step(): boolean {
    switch (this.#state) {
      case 'ssl-reply':
        return this.#sslReply()
      case 'authentication':
      case 'settling':
        return this.#message()
      case 'idle':
      case 'tls':
        if (this.#reader.available === 0) return false
        return this.#fail('upstream_protocol_violation', 'the target spoke before it was spoken to')
      default:
        return false
    }
  }

  /** One byte: 'S' or 'N'. */
  #sslReply(): boolean {
    if (!this.#reader.fill(1)) return false
    const reply = this.#reader.bytes[this.#reader.position] as number
    this.#reader.position++
    if (reply !== 0x53) return this.#fail('upstream_tls_required', 'the target does not offer TLS')
    // What came in the clear behind the reply would later be taken for something said inside TLS.
    if (this.#reader.available > 0) {
      return this.#fail('upstream_protocol_violation', 'the target sent bytes behind its answer to SSLRequest')
    }
    this.#state = 'tls'
    this.#events.push({ type: 'startTls', side: 'upstream' })
    return true
  }

  #start(): void {
    const login = this.#login as Login
    const credentials = this.#credentials as UpstreamCredentials
    this.#state = 'authentication'
    this.#out.send(
      startupMessage(this.#minor, [
        ['user', credentials.user],
        ['database', credentials.database ?? login.database],
        ...login.parameters,
      ]),
    )
  }

  #message(): boolean {
    const reader = this.#reader
    if (!reader.fill(5)) return false
    const type = reader.bytes[reader.position] as number
    const length = reader.bytes.readInt32BE(reader.position + 1)
    if (length < 4 || length > MAX_LOGIN_MESSAGE_BYTES) {
      return this.#fail('upstream_protocol_violation', 'the target sent a message of invalid length')
    }
    if (!reader.fill(length + 1)) return false
    const start = reader.position + 5
    const end = reader.position + 1 + length
    reader.position = end
    switch (type) {
      case Backend.ErrorResponse:
        return this.#refused(start, end)
      case Backend.NegotiateProtocolVersion:
        decodeNegotiate(reader.bytes, start, end)
        return true
      case Backend.NoticeResponse:
        this.#sink.asynchronous(type, start, end)
        return true
      case Backend.Authentication:
        if (this.#state === 'authentication') return this.#authenticate(start, end)
        break
      case Backend.ParameterStatus:
        if (this.#state === 'settling') {
          this.#sink.asynchronous(type, start, end)
          return true
        }
        break
      case Backend.BackendKeyData:
        if (this.#state === 'settling') {
          const { processId, secretKey } = decodeBackendKeyData(reader.bytes, start, end)
          this.cancelTarget = { processId, secretKey: Buffer.from(secretKey) }
          return true
        }
        break
      case Backend.ReadyForQuery:
        if (this.#state === 'settling') {
          this.#state = 'done'
          this.#sink.ready(start, end)
          return true
        }
        break
      default:
        break
    }
    return this.#fail('upstream_protocol_violation', `unexpected message type 0x${type.toString(16)} while logging in`)
  }

  #authenticate(start: number, end: number): boolean {
    const request = decodeAuthentication(this.#reader.bytes, start, end)
    const credentials = this.#credentials as UpstreamCredentials
    switch (request.kind) {
      case 'ok':
        // Fails closed: a target that lets us in without the proof it owes may not be the target.
        if (this.#usedMethod === 'none' && !this.#methods.has('none')) return this.#weaker('no authentication at all')
        if (this.#scram !== undefined && !this.#isServerVerified) return this.#weaker('no proof of its own')
        this.#scram = undefined
        this.#credentials = undefined
        this.#state = 'settling'
        return true
      case 'cleartext':
        if (!this.#methods.has('password') || this.#tls?.isVerified !== true)
          return this.#weaker('the password in the clear')
        if (!this.#use('password') || credentials.password === undefined) return this.#noPassword()
        this.#out.send(passwordMessage(credentials.password.expose()))
        return true
      case 'md5':
        if (!this.#methods.has('md5')) return this.#weaker('md5')
        if (!this.#use('md5') || credentials.password === undefined) return this.#noPassword()
        this.#out.send(passwordMessage(md5Response(credentials.user, credentials.password, request.salt)))
        return true
      case 'sasl':
        return this.#sasl(request.mechanisms)
      case 'sasl-continue':
        if (this.#scram === undefined) return this.#weaker('an unknown exchange')
        this.#out.send(saslResponse(this.#scram.continue(request.data)))
        return true
      case 'sasl-final':
        if (this.#scram === undefined) return this.#weaker('an unknown exchange')
        this.#scram.final(request.data)
        this.#isServerVerified = true
        return true
      default:
        return this.#weaker('an unsupported method')
    }
  }

  #sasl(mechanisms: readonly string[]): boolean {
    const certificate = this.#tls?.peerCertificate
    const canBind =
      certificate !== undefined && canBindChannel(certificate) && mechanisms.includes('SCRAM-SHA-256-PLUS')
    let mechanism: 'SCRAM-SHA-256-PLUS' | 'SCRAM-SHA-256' | undefined
    if (canBind && this.#methods.has('scram-sha-256-plus')) mechanism = 'SCRAM-SHA-256-PLUS'
    else if (mechanisms.includes('SCRAM-SHA-256') && this.#methods.has('scram-sha-256')) mechanism = 'SCRAM-SHA-256'
    if (mechanism === undefined)
      return this.#weaker(`SASL with ${mechanisms.length} mechanisms, none of them configured`)
    const credentials = this.#credentials as UpstreamCredentials
    if (!this.#use(mechanism === 'SCRAM-SHA-256' ? 'scram-sha-256' : 'scram-sha-256-plus')) return this.#noPassword()
    if (credentials.password === undefined) return this.#noPassword()
    this.#scram = new ScramClient({
      mechanism,
      offered: mechanisms,
      password: credentials.password,
      random: this.#context.random,
      maxIterations: this.#limits.maxScramIterations,
      ...(certificate === undefined ? {} : { peerCertificate: certificate }),
    })
    const first = this.#scram.first()
    this.#out.send(saslInitialResponse(first.mechanism, first.data))
    return true
  }

  /** One method, once: a server that asks twice is after a second answer. */
  #use(method: UpstreamAuthMethod): boolean {
    if (this.#usedMethod !== 'none') return false
    this.#usedMethod = method
    return true
  }

  #weaker(what: string): true {
    return this.#fail('upstream_authentication_failed', `the target asks for ${what}, which is not configured`)
  }

  #noPassword(): true {
    return this.#fail('upstream_authentication_failed', 'the target asks for a password where none is to be given')
  }

  #refused(start: number, end: number): true {
    const fields = decodeErrorFields(this.#reader.bytes, start, end)
    const code = fields.C ?? '08006'
    // The target's words on authentication name the account that the client must not learn of.
    const isAboutLogin =
      code.startsWith('28') || (this.#state === 'authentication' && !code.startsWith('3D') && !code.startsWith('53'))
    const message = isAboutLogin ? 'the target refused the gateway' : `the target refused: ${fields.M ?? ''}`
    return this.#fail('upstream_authentication_failed', message, isAboutLogin ? '08006' : code)
  }

  #fail(
    code: 'upstream_protocol_violation' | 'upstream_authentication_failed' | 'upstream_tls_required',
    message: string,
    sqlstate = '08006',
  ): true {
    this.#state = 'done'
    this.#credentials = undefined
    this.failure = { error: new SallyportError(code, message), code: sqlstate, message }
    return true
  }
}
