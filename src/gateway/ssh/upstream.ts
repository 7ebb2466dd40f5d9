import { connect as connectTcp, type Socket } from 'node:net'
import type { AnyAuthMethod, Client } from 'ssh2'
import { SallyportError } from '../../core/index.js'
import { sshAlgorithms } from './algorithms.js'
import { protocolOf, type Ssh2Module } from './ssh2.js'
import { SshTransport } from './transport.js'
import type { SshHostKeyCheck, SshTarget, SshUpstreamCredentials } from './types.js'

export interface UpstreamOptions {
  readonly ssh2: Ssh2Module
  readonly ident: string
  readonly target: SshTarget
  readonly credentials: SshUpstreamCredentials
  readonly hostKey: SshHostKeyCheck
  /** In the same turn as the target's own word: its next message may follow at once. */
  ready(transport: SshTransport): void
  /** Once: before `ready` it was not reached, afterwards it is gone. */
  closed(error?: SallyportError): void
}

const CONNECT_TIMEOUT_MS = 10_000

/** Connects to the target and logs in. */
export class Upstream {
  readonly #options: UpstreamOptions
  readonly #socket: Socket
  #client: Client | undefined
  #transport: SshTransport | undefined
  #isReady = false
  #isClosed = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: UpstreamOptions) {
    this.#options = options
    const { host, port, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options.target
    this.#socket = connectTcp({ host, port, noDelay: true, keepAlive: true })
    this.#timer = setTimeout(
      () => this.#fail('upstream_unavailable', 'the target did not answer in time'),
      connectTimeoutMs,
    )
    const refused = (cause: Error): void => this.#fail('upstream_unavailable', 'the target could not be reached', cause)
    this.#socket.once('error', refused)
    this.#socket.once('connect', () => {
      this.#socket.off('error', refused)
      clearTimeout(this.#timer)
      if (!this.#isClosed) this.#login(connectTimeoutMs)
    })
  }

  #login(timeoutMs: number): void {
    const { ssh2, ident, target, credentials, hostKey } = this.#options
    const client = new ssh2.Client()
    this.#client = client
    let isVerified = false
    client.on('error', (cause: Error & { readonly level?: string }) => {
      const { failure } = this.#transport ?? {}
      if (failure !== undefined) return this.#close(failure)
      if (cause.level === 'client-authentication') {
        return this.#fail('upstream_authentication_failed', "the target did not accept the gateway's credential", cause)
      }
      this.#fail(
        'upstream_unavailable',
        this.#isReady ? 'the connection to the target failed' : 'the target could not be logged in to',
        cause,
      )
    })
    client.on('close', () => this.#close(this.#isReady ? undefined : unavailable('the target closed the connection')))
    client.on('ready', () => {
      const transport = this.#transport
      if (this.#isReady || this.#isClosed || transport === undefined) return
      this.#isReady = true
      this.#options.ready(transport)
    })
    const methods = authMethods(credentials, () => isVerified)
    client.connect({
      sock: this.#socket,
      ident,
      username: credentials.user,
      algorithms: sshAlgorithms(),
      readyTimeout: timeoutMs,
      keepaliveInterval: 0,
      hostVerifier: (key: Buffer, verify: (isValid: boolean) => void) => {
        const settle = (isValid: boolean): void => {
          isVerified = isValid
          if (!isValid)
            this.#fail('upstream_authentication_failed', "the target's host key is not the one it should have")
          verify(isValid)
        }
        void checkHostKey(hostKey, key, target).then(settle)
      },
      authHandler: (_left, _isPartial, next) => {
        const method = methods.shift()
        next(method ?? (false as unknown as AnyAuthMethod))
      },
    })
    this.#transport = new SshTransport('upstream', this.#socket, protocolOf(client))
  }

  #fail(code: 'upstream_unavailable' | 'upstream_authentication_failed', message: string, cause?: unknown): void {
    this.#close(new SallyportError(code, message, cause === undefined ? {} : { cause }))
  }

  #close(error?: SallyportError): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#options.closed(error)
    this.#client?.end()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#socket.on('error', () => {})
    this.#socket.destroy()
  }
}

/** Fails closed: a check that throws has verified nothing. */
async function checkHostKey(check: SshHostKeyCheck, key: Uint8Array, target: SshTarget): Promise<boolean> {
  try {
    return (await check(key, target)) === true
  } catch {
    return false
  }
}

/** INVARIANT: no secret is offered before the host key is verified. */
function authMethods(credentials: SshUpstreamCredentials, isVerified: () => boolean): AnyAuthMethod[] {
  const { user: username, password, privateKey, passphrase } = credentials
  const methods: AnyAuthMethod[] = []
  if (privateKey !== undefined) {
    methods.push({
      type: 'publickey',
      username,
      key: privateKey.expose(),
      ...(passphrase === undefined ? {} : { passphrase: passphrase.expose() }),
    })
  }
  if (password !== undefined) {
    methods.push({ type: 'password', username, password: password.expose() })
    methods.push({
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _lang, prompts, finish) => {
        // One hidden prompt is one for the password; any other question is not ours to answer.
        const isPassword = isVerified() && prompts.length === 1 && prompts[0]?.echo !== true
        finish(isPassword ? [password.expose()] : [])
      },
    })
  }
  if (methods.length === 0) methods.push({ type: 'none', username })
  return methods
}

function unavailable(message: string): SallyportError {
  return new SallyportError('upstream_unavailable', message)
}
