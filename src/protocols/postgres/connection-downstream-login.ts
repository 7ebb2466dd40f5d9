import {
  type ChunkReader,
  type ConnectionEvent,
  type Fifo,
  type Denial,
  type IdentityChallenge,
  type Outbox,
  type ProtocolContext,
  SallyportError,
  Secret,
  type TlsInfo,
  type TlsPosture,
} from '../../core/index.js'
import { isAsciiSafeEncoding } from './encodings.js'
import { decodePassword, decodeSaslInitial } from './frontend.js'
import { Frontend } from './message-types.js'
import {
  authenticationCleartext,
  authenticationOk,
  authenticationSasl,
  authenticationSaslContinue,
  authenticationSaslFinal,
  errorResponse,
  negotiateProtocolVersion,
} from './messages.js'
import { denialResponse } from './refusal.js'
import { ScramServer } from './scram.js'
import { checkStartupParameters, DEFAULT_STARTUP_PARAMETERS, parseStartup } from './startup.js'

/** The server's own limit for startup packets; also bounds authentication messages. */
const MAX_STARTUP_BYTES = 10_000
const MAX_PASSWORD_BYTES = 65_535
const NEWEST_MINOR = 2

/** What the client's log-in established. */
export interface Login {
  readonly user: string
  readonly database: string
  readonly minor: 0 | 2
  readonly parameters: ReadonlyMap<string, string>
}

type State =
  /** Expects SSLRequest, GSSENCRequest, CancelRequest or StartupMessage. */
  | 'startup'
  /** 'S' was answered: the driver puts TLS on. */
  | 'tls'
  /** Expects `challenge` from the driver. */
  | 'challenge'
  | 'password'
  | 'sasl-initial'
  | 'sasl-response'
  /** Expects `authenticated` or `reject` from the driver. */
  | 'verdict'
  | 'done'

/**
 * The client's way in: from the first byte to AuthenticationOk, played from the server's side.
 *
 * @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
export class DownstreamLogin {
  login: Login | undefined
  readonly #context: ProtocolContext
  readonly #allowed: ReadonlySet<string>
  readonly #reader: ChunkReader
  readonly #out: Outbox
  readonly #events: Fifo<ConnectionEvent>
  #state: State = 'startup'
  #tls: TlsPosture
  #peerName: string | undefined
  #hasAskedGss = false
  #hasAskedTls = false
  #scram: ScramServer | undefined
  #scramFinal: Uint8Array | undefined

  constructor(
    context: ProtocolContext,
    allowed: ReadonlySet<string> = DEFAULT_STARTUP_PARAMETERS,
    reader: ChunkReader,
    out: Outbox,
    events: Fifo<ConnectionEvent>,
  ) {
    this.#context = context
    this.#allowed = allowed
    this.#reader = reader
    this.#out = out
    this.#events = events
    this.#tls = context.downstreamTls
  }

  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** Handles one message if it is there. Returns whether it did. */
  step(): boolean {
    switch (this.#state) {
      case 'startup':
        return this.#startup()
      case 'password':
      case 'sasl-initial':
      case 'sasl-response':
        return this.#authenticationMessage()
      default:
        return false
    }
  }

  tlsStarted(info: TlsInfo): void {
    this.#tls = 'established'
    this.#peerName = info.peerName
    this.#state = 'startup'
  }

  challenge(challenge: IdentityChallenge): void {
    if (this.#state !== 'challenge') throw new SallyportError('misuse', 'no client waits for a challenge')
    const user = (this.login as Login).user
    switch (challenge.method) {
      case 'none':
        this.#prove({ method: 'none', user })
        break
      case 'certificate':
        if (this.#peerName === undefined) {
          this.reject({ reason: 'default', message: `a verified client certificate is required of user "${user}"` })
        } else {
          this.#prove({ method: 'certificate', user, peerName: this.#peerName })
        }
        break
      case 'password':
        // Fails closed: a token in the clear would be anybody's.
        if (this.#tls !== 'established' && this.#context.isInProcess !== true) {
          this.reject({ reason: 'default', message: 'a password is only taken over TLS', hint: 'Use sslmode=require.' })
        } else {
          this.#out.send(authenticationCleartext())
          this.#state = 'password'
        }
        break
      case 'scram-sha-256':
        this.#scram = new ScramServer(challenge.verifier, this.#context.random)
        // -PLUS is never offered: the channel a client could bind to ends here.
        this.#out.send(authenticationSasl(['SCRAM-SHA-256']))
        this.#state = 'sasl-initial'
        break
    }
  }

  authenticated(): void {
    if (this.#state !== 'verdict') throw new SallyportError('misuse', 'no client waits to be let in')
    if (this.#scramFinal !== undefined) this.#out.send(authenticationSaslFinal(this.#scramFinal))
    this.#out.send(authenticationOk())
    this.#scram = undefined
    this.#state = 'done'
  }

  reject(denial: Denial): void {
    this.#fail(
      denialResponse(denial, 'FATAL', denial.reason === 'default' ? '28000' : undefined),
      'authentication_failed',
    )
  }

  /**
   * Int32 length including itself, then a request code or Int16 major, Int16 minor and the parameters.
   */
  #startup(): boolean {
    const reader = this.#reader
    if (!reader.fill(4)) return false
    const length = reader.bytes.readInt32BE(reader.position)
    if (length < 8 || length > MAX_STARTUP_BYTES) {
      return this.#violation(`invalid length of startup packet: ${length} bytes`)
    }
    if (!reader.fill(length)) return false
    const packet = parseStartup(reader.bytes.subarray(reader.position + 4, reader.position + length))
    reader.position += length
    switch (packet.kind) {
      case 'ssl':
        return this.#sslRequest()
      case 'gssenc':
        if (this.#hasAskedGss || this.#tls === 'established') return this.#violation('unexpected GSSENCRequest')
        if (reader.available > 0) return this.#violation('bytes sent behind GSSENCRequest')
        this.#hasAskedGss = true
        this.#out.send(DECLINED)
        return true
      case 'cancel':
        this.#events.push({ type: 'cancelRequest', processId: packet.processId, secretKey: packet.secretKey })
        this.#close(undefined)
        return true
      case 'invalid':
        return this.#violation(packet.problem)
      case 'startup':
        return this.#startupMessage(packet)
    }
  }

  #sslRequest(): boolean {
    if (this.#tls === 'established' || this.#hasAskedTls) return this.#violation('unexpected SSLRequest')
    // What came in the clear behind the request would later be taken for something said inside TLS.
    if (this.#reader.available > 0) return this.#violation('bytes sent behind SSLRequest')
    this.#hasAskedTls = true
    if (this.#tls === 'unavailable') {
      this.#out.send(DECLINED)
      return true
    }
    this.#out.send(ACCEPTED)
    this.#out.flush()
    this.#events.push({ type: 'startTls', side: 'downstream' })
    this.#state = 'tls'
    return true
  }

  #startupMessage(packet: Extract<ReturnType<typeof parseStartup>, { kind: 'startup' }>): boolean {
    if (packet.major !== 3)
      return this.#violation(`unsupported protocol version ${packet.major}.${packet.minor}`, '0A000')
    if (this.#tls === 'required') {
      this.#fail(
        errorResponse({
          severity: 'FATAL',
          code: '28000',
          message: 'this gateway is reached over TLS only',
          hint: 'Use sslmode=require.',
        }),
        'tls_required',
      )
      return true
    }
    const checked = checkStartupParameters(packet, this.#allowed)
    if ('problem' in checked) return this.#violation(checked.problem, '42501')
    const encoding = checked.parameters.get('client_encoding')
    if (encoding !== undefined && !isAsciiSafeEncoding(encoding)) {
      return this.#violation(`client_encoding \`${encoding}\` is not supported: use UTF8`, '22023')
    }
    if (packet.minor > NEWEST_MINOR || packet.protocolOptions.length > 0) {
      this.#out.send(negotiateProtocolVersion(Math.min(packet.minor, NEWEST_MINOR), packet.protocolOptions))
    }
    this.login = {
      user: packet.user,
      database: packet.database,
      minor: packet.minor >= 2 ? 2 : 0,
      parameters: checked.parameters,
    }
    this.#state = 'challenge'
    this.#events.push({
      type: 'identify',
      user: packet.user,
      database: packet.database,
      isEncrypted: this.#tls === 'established',
      ...(this.#peerName === undefined ? {} : { peerName: this.#peerName }),
    })
    return true
  }

  /** Byte 'p', Int32 length, then what the method asks for. */
  #authenticationMessage(): boolean {
    const reader = this.#reader
    if (!reader.fill(5)) return false
    const type = reader.bytes[reader.position] as number
    const length = reader.bytes.readInt32BE(reader.position + 1)
    if (type === Frontend.Terminate) {
      this.#close(undefined)
      return true
    }
    if (type !== Frontend.Password || length < 4 || length > MAX_PASSWORD_BYTES) {
      return this.#violation('expected an authentication message')
    }
    if (!reader.fill(length + 1)) return false
    const start = reader.position + 5
    const end = reader.position + 1 + length
    reader.position = end
    const user = (this.login as Login).user
    try {
      if (this.#state === 'password') {
        this.#prove({ method: 'password', user, password: new Secret(decodePassword(reader.bytes, start, end)) })
      } else if (this.#state === 'sasl-initial') {
        const initial = decodeSaslInitial(reader.bytes, start, end)
        if (initial.mechanism !== 'SCRAM-SHA-256' || initial.data === undefined) {
          return this.#violation('client selected an invalid SASL mechanism')
        }
        this.#out.send(authenticationSaslContinue((this.#scram as ScramServer).first(initial.data)))
        this.#state = 'sasl-response'
      } else {
        this.#scramFinal = (this.#scram as ScramServer).final(reader.bytes.subarray(start, end))
        this.#prove({ method: 'scram-sha-256', user })
      }
    } catch (error) {
      if (error instanceof SallyportError && error.code === 'authentication_failed') {
        this.#fail(
          errorResponse({
            severity: 'FATAL',
            code: '28P01',
            message: `password authentication failed for user "${user}"`,
          }),
          'authentication_failed',
        )
        return true
      }
      return this.#violation('malformed authentication message')
    }
    return true
  }

  #prove(proof: Extract<ConnectionEvent, { type: 'authenticate' }>['proof']): void {
    this.#state = 'verdict'
    this.#events.push({ type: 'authenticate', proof })
  }

  #violation(problem: string, code = '08P01'): true {
    this.#fail(errorResponse({ severity: 'FATAL', code, message: problem }), 'protocol_violation', problem)
    return true
  }

  #fail(
    response: Buffer,
    code: 'authentication_failed' | 'tls_required' | 'protocol_violation',
    message?: string,
  ): void {
    // Inside a handshake that is about to start TLS nothing may be written in the clear.
    if (this.#state !== 'tls') this.#out.send(response)
    this.#close(new SallyportError(code, message ?? 'the client was not let in'))
  }

  #close(error: SallyportError | undefined): void {
    this.#state = 'done'
    this.#out.flush()
    this.#events.push(
      error === undefined ? { type: 'close', side: 'downstream' } : { type: 'close', side: 'downstream', error },
    )
  }
}

const ACCEPTED = Buffer.from('S')
const DECLINED = Buffer.from('N')
