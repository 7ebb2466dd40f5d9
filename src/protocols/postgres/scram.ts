import { isUtf8 } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import { type RandomBytes, SallyportError, type ScramVerifier, type Secret } from '../../core/index.js'
import { tlsServerEndPoint } from './channel-binding.js'
import {
  DEFAULT_MAX_ITERATIONS,
  decodeBase64,
  encodeBase64,
  hash,
  hmac,
  KEY_BYTES,
  saltPassword,
} from './scram-secret.js'

export { formatScramSecret, makeScramVerifier, mockVerifier, parseScramSecret } from './scram-secret.js'

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'

const PLUS: ScramMechanism = 'SCRAM-SHA-256-PLUS'

/** SASL messages of a log-in are short; the bound keeps a peer from making us hash megabytes. */
const MAX_MESSAGE_BYTES = 8192

/** Printable ASCII without the comma (RFC 5802 section 7). */
const NONCE = /^[\x21-\x2b\x2d-\x7e]+$/

/** Bytes of randomness in one side's half of the nonce: 24 characters of base64. */
const NONCE_BYTES = 18

export interface ScramClientOptions {
  /** One of those the server offered. */
  readonly mechanism: ScramMechanism
  readonly password: Secret<string>
  readonly random: RandomBytes
  /** Everything the server offered. Default: `mechanism` alone. */
  readonly offered?: readonly string[]
  /** PostgreSQL takes the user from the startup message and ignores this one: empty by default. */
  readonly user?: string
  /** DER bytes of the server's certificate. Undefined: the connection has no TLS. */
  readonly peerCertificate?: Uint8Array
  /** 100,000 by default. */
  readonly maxIterations?: number
}

/**
 * The client's end of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: `first`, then `continue`, then `final`, each once.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5802, https://www.rfc-editor.org/rfc/rfc7677
 */
export class ScramClient {
  readonly #password: Secret<string>
  readonly #nonce: string
  readonly #maxIterations: number
  readonly #mechanism: ScramMechanism
  readonly #bindingData: Buffer | undefined
  readonly #gs2Header: string
  readonly #firstBare: string
  #step: 'first' | 'continue' | 'final' | 'done' = 'first'
  #serverSignature: Buffer | undefined

  /** @throws SallyportError `upstream_authentication_failed` when channel binding is asked for and not possible */
  constructor(options: ScramClientOptions) {
    this.#password = options.password
    this.#nonce = makeNonce(options.random)
    this.#maxIterations = options.maxIterations ?? DEFAULT_MAX_ITERATIONS
    this.#mechanism = options.mechanism

    const bindingData = options.peerCertificate && tlsServerEndPoint(options.peerCertificate)
    if (options.mechanism === PLUS) {
      if (bindingData === undefined) throw failed('channel binding is not possible with the certificate of this server')
      this.#bindingData = bindingData
      this.#gs2Header = 'p=tls-server-end-point,,'
    } else {
      // `y`: had somebody in between taken the -PLUS offer away, the server would now notice.
      this.#gs2Header = bindingData !== undefined && options.offered?.includes(PLUS) !== true ? 'y,,' : 'n,,'
    }
    this.#firstBare = `n=${escapeName(options.user ?? '')},r=${this.#nonce}`
  }

  /** The content of SASLInitialResponse. */
  first(): { readonly mechanism: ScramMechanism; readonly data: Buffer } {
    this.#advance('first', 'continue')
    return { mechanism: this.#mechanism, data: Buffer.from(this.#gs2Header + this.#firstBare, 'utf8') }
  }

  /**
   * Answers AuthenticationSASLContinue: nonce, salt and iteration count, checked before anything is computed.
   *
   * @returns the content of SASLResponse
   * @throws SallyportError `upstream_authentication_failed`, `upstream_protocol_violation`
   */
  continue(data: Uint8Array): Buffer {
    this.#advance('continue', 'final')
    const serverFirst = readText(data, malformed)
    const match = /^r=([^,]*),s=([^,]*),i=([1-9]\d{0,9})(?:,.*)?$/.exec(serverFirst)
    if (!match) throw malformed('server-first-message of SCRAM is malformed')
    const nonce = match[1] as string
    const salt = decodeBase64(match[2] as string)
    const iterations = Number(match[3])
    if (!NONCE.test(nonce) || salt === undefined || salt.length === 0) {
      throw malformed('server-first-message of SCRAM is malformed')
    }
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw failed('server nonce of SCRAM does not extend ours')
    }
    if (iterations > this.#maxIterations) {
      throw failed(`server asks for ${iterations} iterations of SCRAM, at most ${this.#maxIterations} are allowed`)
    }

    const header = Buffer.from(this.#gs2Header, 'latin1')
    const bound = this.#bindingData === undefined ? header : Buffer.concat([header, this.#bindingData])
    const withoutProof = `c=${encodeBase64(bound)},r=${nonce}`
    const authMessage = `${this.#firstBare},${serverFirst},${withoutProof}`

    const salted = saltPassword(this.#password, salt, iterations)
    const clientKey = hmac(salted, 'Client Key')
    const proof = xor(clientKey, hmac(hash(clientKey), authMessage))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage)
    return Buffer.from(`${withoutProof},p=${encodeBase64(proof)}`, 'latin1')
  }

  /**
   * Checks AuthenticationSASLFinal: the server knows the password too, or it is not the server.
   *
   * @throws SallyportError `upstream_authentication_failed`
   */
  final(data: Uint8Array): void {
    this.#advance('final', 'done')
    const match = /^v=([^,]*)(?:,.*)?$/.exec(readText(data, malformed))
    const signature = decodeBase64(match?.[1] ?? '')
    const expected = this.#serverSignature as Buffer
    if (signature?.length !== KEY_BYTES || !timingSafeEqual(signature, expected)) {
      throw failed('server could not prove that it knows the password')
    }
  }

  /** True once the server has proved itself: AuthenticationOk before that is a lie. */
  get isComplete(): boolean {
    return this.#step === 'done'
  }

  #advance(from: 'first' | 'continue' | 'final', to: 'continue' | 'final' | 'done'): void {
    if (this.#step !== from) throw malformed(`SCRAM step \`${from}\` came while \`${this.#step}\` was expected`)
    this.#step = to
  }
}

/**
 * The server's end of SCRAM-SHA-256: `first`, then `final`, each once. Channel binding is never offered: the client's
 * TLS ends here, and the data it would bind to is not the target's.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5802
 */
export class ScramServer {
  readonly #verifier: ScramVerifier
  readonly #nonce: string
  #step: 'first' | 'final' | 'done' = 'first'
  #gs2Header = ''
  #firstMessages = ''
  #fullNonce = ''

  /** @param verifier what is known of the user's password; {@link mockVerifier} for a user who does not exist */
  constructor(verifier: ScramVerifier, random: RandomBytes) {
    this.#verifier = verifier
    this.#nonce = makeNonce(random)
  }

  /**
   * Reads the data of a SASLInitialResponse that names SCRAM-SHA-256.
   *
   * @returns the content of AuthenticationSASLContinue
   * @throws SallyportError `protocol_violation`, `authentication_failed`
   */
  first(data: Uint8Array): Buffer {
    this.#advance('first', 'final')
    const match = /^([ny]|p=[^,]*),([^,]*),(n=[^,]*,r=([^,]*)(?:,.*)?)$/.exec(readText(data, violation))
    if (!match) throw violation('client-first-message of SCRAM is malformed')
    const [, flag, authorizationName, bare, clientNonce] = match as unknown as [string, string, string, string, string]
    if (flag.startsWith('p')) throw denied('client asks for channel binding, which was not offered')
    if (authorizationName !== '') throw denied('client asks for an authorization identity, which is not supported')
    if (!NONCE.test(clientNonce)) throw violation('client-first-message of SCRAM is malformed')

    // `y` says that the client could bind and saw no offer: true, so nobody has tampered with it.
    this.#gs2Header = `${flag},,`
    this.#fullNonce = clientNonce + this.#nonce
    const { salt, iterations } = this.#verifier
    const serverFirst = `r=${this.#fullNonce},s=${encodeBase64(salt)},i=${iterations}`
    this.#firstMessages = `${bare},${serverFirst}`
    return Buffer.from(serverFirst, 'latin1')
  }

  /**
   * Checks the client's proof.
   *
   * @returns the content of AuthenticationSASLFinal
   * @throws SallyportError `authentication_failed` for a wrong proof, `protocol_violation`
   */
  final(data: Uint8Array): Buffer {
    this.#advance('final', 'done')
    const text = readText(data, violation)
    const match = /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([^,]*)$/.exec(text)
    const proof = decodeBase64(match?.[4] ?? '')
    if (!match || proof?.length !== KEY_BYTES) throw violation('client-final-message of SCRAM is malformed')
    if (match[2] !== encodeBase64(Buffer.from(this.#gs2Header, 'latin1'))) {
      throw denied('channel binding of SCRAM does not match')
    }
    if (match[3] !== this.#fullNonce) throw denied('nonce of SCRAM does not match')

    const authMessage = `${this.#firstMessages},${match[1] as string}`
    const clientKey = xor(proof, hmac(this.#verifier.storedKey, authMessage))
    if (!timingSafeEqual(hash(clientKey), this.#verifier.storedKey)) throw denied('password does not match')
    return Buffer.from(`v=${encodeBase64(hmac(this.#verifier.serverKey, authMessage))}`, 'latin1')
  }

  #advance(from: 'first' | 'final', to: 'final' | 'done'): void {
    if (this.#step !== from) throw violation(`SCRAM step \`${from}\` came while \`${this.#step}\` was expected`)
    this.#step = to
  }
}

/** Whether `SCRAM-SHA-256-PLUS` can be used with a server of this certificate (DER). */
export function canBindChannel(certificate: Uint8Array): boolean {
  return tlsServerEndPoint(certificate) !== undefined
}

function makeNonce(random: RandomBytes): string {
  const nonce = encodeBase64(random(NONCE_BYTES))
  if (nonce === '') throw new SallyportError('misuse', 'a SCRAM nonce needs random bytes')
  return nonce
}

/** RFC 5802 section 5.1: `=` and `,` cannot stand in a name as they are. */
function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

function readText(data: Uint8Array, problem: (message: string) => SallyportError): string {
  if (data.length > MAX_MESSAGE_BYTES) throw problem(`message of SCRAM is longer than ${MAX_MESSAGE_BYTES} bytes`)
  if (!isUtf8(data)) throw problem('message of SCRAM is not valid UTF-8')
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8')
}

function xor(left: Uint8Array, right: Uint8Array): Buffer {
  const result = Buffer.allocUnsafe(KEY_BYTES)
  for (let i = 0; i < KEY_BYTES; i++) result[i] = (left[i] as number) ^ (right[i] as number)
  return result
}

function failed(message: string): SallyportError {
  return new SallyportError('upstream_authentication_failed', message)
}

function malformed(message: string): SallyportError {
  return new SallyportError('upstream_protocol_violation', message)
}

function denied(message: string): SallyportError {
  return new SallyportError('authentication_failed', message)
}

function violation(message: string): SallyportError {
  return new SallyportError('protocol_violation', message)
}
