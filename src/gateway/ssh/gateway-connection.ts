import type { Socket } from 'node:net'
import type { EventEmitter } from 'eventemitter3'
import type {
  AuthContext,
  ClientInfo,
  Connection as Ssh2Connection,
  KeyboardAuthContext,
  PublicKeyAuthContext,
} from 'ssh2'
import { type Clock, type Denial, type Resource, SallyportError, type Schedule, Secret } from '../../core/index.js'
import {
  attemptOfSsh2,
  type SshAdmission,
  type SshAnswer,
  type SshAttempt,
  type SshIdentity,
  type SshLogin,
  type SshPermissions as SshKeyPermissions,
} from '../../identity/ssh/index.js'
import { SshConnection, type SshPermissions } from '../../protocols/ssh/index.js'
import type { SessionOpener } from '../../streams/guarded-stream.js'
import type { SshCredentialLease } from '../../credentials/ssh/index.js'
import type { PacketBuffers } from './packet-buffers.js'
import { SshSessionDriver } from './session-driver.js'
import { protocolOf, type Ssh2Module } from './ssh2.js'
import { SshTransport } from './transport.js'
import type { SshConnectionInfo, SshGatewayEvents, SshGatewayLimits, SshResourceOptions } from './types.js'
import { Upstream } from './upstream.js'

export interface SshGatewayConnectionOptions {
  readonly id: number
  readonly socket: Socket
  readonly ssh2: Ssh2Module
  readonly ident: string
  readonly clientAddress: string
  readonly identity: SshIdentity
  readonly enforcer: SessionOpener
  readonly limits: SshGatewayLimits
  readonly clock: Clock
  readonly schedule: Schedule
  readonly events: EventEmitter<SshGatewayEvents>
  readonly buffers: PacketBuffers
  /** The resource of this name, or of the listener. */
  resource(target: string | undefined): SshResourceOptions | undefined
}

/** As first lines have to be (RFC 4253 section 4.2). */
const PRINTABLE = /^[\x20-\x7e]*$/
const AUTHENTICATION_TIMEOUT_MS = 120_000
const KEEPALIVE_MS = 15_000
const MAX_UNANSWERED_KEEPALIVES = 3
const REKEY_BYTES = 1_073_741_824
/** After the last words, a socket has this long to take them. */
const LAST_WORDS_MS = 1_000

/** One accepted socket: key exchange, log-in, then a session between it and its target. */
export class SshGatewayConnection {
  readonly #options: SshGatewayConnectionOptions
  readonly #startedAtUnixMs: number
  #info: SshConnectionInfo
  #client: Ssh2Connection | undefined
  #transport: SshTransport | undefined
  #login: SshLogin | undefined
  #driver: SshSessionDriver | undefined
  #upstream: Upstream | undefined
  #upstreamTransport: SshTransport | undefined
  #lease: SshCredentialLease | undefined
  #expiresAtUnixMs = Number.POSITIVE_INFINITY
  #drainDenial: Denial | undefined
  #isOver = false
  #failure: SallyportError | undefined
  #cancelLoginTimer: () => void
  #seenBytes = -1
  #seenAtUnixMs: number
  readonly #signs = { downstream: newSign(), upstream: newSign() }
  #finish: () => void = () => {}
  /** Never rejects. */
  readonly finished: Promise<void>

  constructor(options: SshGatewayConnectionOptions) {
    this.#options = options
    this.#startedAtUnixMs = options.clock.nowUnixMs()
    this.#seenAtUnixMs = this.#startedAtUnixMs
    this.#info = { id: options.id, clientAddress: options.clientAddress }
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#cancelLoginTimer = options.schedule(options.limits.authenticationTimeoutMs ?? AUTHENTICATION_TIMEOUT_MS, () =>
      this.destroy(),
    )
    options.socket.on('error', () => {})
    options.socket.once('close', () => this.#closed())
  }

  get info(): SshConnectionInfo {
    return this.#info
  }

  get isAdmitted(): boolean {
    return this.#driver !== undefined
  }

  /** The client has said that it speaks SSH; keys are about to be exchanged. */
  begin(client: Ssh2Connection, info: ClientInfo): void {
    const { socket, identity, clientAddress, buffers } = this.#options
    this.#client = client
    this.#info = { ...this.#info, clientName: info.header.identRaw.slice(0, 255) }
    this.#transport = new SshTransport('downstream', socket, protocolOf(client), buffers)
    this.#login = identity.open({
      clientAddress,
      resource: (target) => this.#options.resource(target)?.resource ?? unknownResource(target),
    })
    client.on('authentication', (context) => void this.#authenticate(context))
    client.on('error', (cause: Error & { readonly level?: string }) => {
      // A client that goes without a word has broken nothing.
      if (cause.level === 'socket') return
      this.#failure ??=
        this.#transport?.failure ?? new SallyportError('protocol_violation', 'the client broke the protocol', { cause })
    })
    if (!PRINTABLE.test(info.header.identRaw)) this.destroy()
  }

  async #authenticate(context: AuthContext): Promise<void> {
    const login = this.#login
    if (login === undefined || this.#isOver || this.#driver !== undefined) return
    try {
      const answer = await login.attempt(this.#attemptOf(context))
      if (!this.#isOver) await this.#answer(context, answer)
    } catch (cause) {
      // Fails closed: who could not be given a session is not let in.
      if (this.#isOver) return
      const error =
        cause instanceof SallyportError
          ? cause
          : new SallyportError('internal', 'no session could be opened', { cause })
      this.#options.events.emit('failed', this.#info, error)
      this.#turnAway(error.blame === 'downstream' ? error.message : 'no session could be opened')
    }
  }

  #attemptOf(context: AuthContext): SshAttempt {
    const { username: user, service } = context
    if (context.method === 'publickey') {
      return { method: 'publickey', ...attemptOfSsh2(context as PublicKeyAuthContext & { readonly service: string }) }
    }
    if (context.method !== 'keyboard-interactive') return { method: 'other', name: context.method, user, service }
    const keyboard = context as KeyboardAuthContext
    const abort = new AbortController()
    keyboard.on('abort', () => abort.abort())
    this.#options.socket.once('close', () => abort.abort())
    return {
      method: 'keyboard-interactive',
      user,
      service,
      signal: abort.signal,
      ask: (round) =>
        new Promise((resolve, reject) => {
          abort.signal.addEventListener('abort', () => reject(new Error('the client has given up')), { once: true })
          keyboard.prompt(
            round.prompts.map(({ text, isEchoed }) => ({ prompt: text, echo: isEchoed })),
            round.title,
            round.instructions,
            (answers) => {
              if (Array.isArray(answers) && answers.length === round.prompts.length) {
                resolve(answers.map((text) => new Secret(text)))
              } else {
                reject(new Error('the client did not answer every prompt'))
              }
            },
          )
        }),
    }
  }

  async #answer(context: AuthContext, answer: SshAnswer): Promise<void> {
    switch (answer.answer) {
      case 'superseded':
        return
      case 'acceptable':
        // Without a signature this is PK_OK, which lets nobody in.
        context.accept()
        return
      case 'reject':
        context.reject([...answer.methodsLeft], answer.isPartial)
        return
      case 'end':
        this.#options.events.emit(
          'rejected',
          this.#info,
          { reason: 'default', message: answer.message },
          context.username,
        )
        this.#turnAway(answer.message)
        return
      case 'accept':
        await this.#admit(context, answer.admission)
    }
  }

  async #admit(context: AuthContext, admission: SshAdmission): Promise<void> {
    const { enforcer, clientAddress, limits, schedule, events } = this.#options
    const transport = this.#transport
    const entry = this.#options.resource(admission.target)
    if (transport === undefined) return
    const { subject } = admission
    this.#info = { ...this.#info, user: admission.user, subject }
    if (entry === undefined) {
      const what = admission.target === undefined ? 'no target was named' : 'there is no such target'
      events.emit('rejected', this.#info, { reason: 'default', message: what }, admission.user)
      this.#turnAway(`${what}: log in as user+target`)
      return
    }
    const { resource } = entry
    const session = await enforcer.openSession({
      subject,
      resource,
      clientAddress,
      ...(this.#info.clientName === undefined ? {} : { clientName: this.#info.clientName }),
    })
    if (this.#isOver) {
      await session.end('the client left while its session was being opened')
      return
    }
    this.#cancelLoginTimer()
    for (const { expiresAtUnixMs } of admission.keys) this.#expireBy(expiresAtUnixMs)
    const driver = new SshSessionDriver({
      connection: new SshConnection({
        shellAnalyzer: session.shellAnalyzer,
        textMasker: session.textMasker,
        permissions: permissionsOf(admission),
        ...(entry.guardedShellCommand === undefined ? {} : { guardedShellCommand: entry.guardedShellCommand }),
        limits,
      }),
      session,
      downstream: transport,
      schedule,
      rekeyBytes: limits.rekeyBytes ?? REKEY_BYTES,
      observer: {
        judged: (command, judgement) => void events.emit('judged', this.#info, command, judgement),
        answered: (commandId, answer) => {
          events.emit('answered', this.#info, commandId, answer)
          this.#drainWhenIdle()
        },
        refused: (via, denial) => void events.emit('refused', this.#info, via, denial),
        failed: (error) => void events.emit('failed', this.#info, error),
      },
    })
    this.#driver = driver
    this.#info = { ...this.#info, resource, sessionId: session.id }
    void driver.finished.then(() => this.#over())
    context.accept()
    events.emit('ready', this.#info, session)
    await this.#connect(entry, driver, subject)
  }

  async #connect(entry: SshResourceOptions, driver: SshSessionDriver, subject: SshAdmission['subject']): Promise<void> {
    const { ssh2, ident, buffers } = this.#options
    const { resource, target, hostKeys } = entry
    let lease: SshCredentialLease
    try {
      lease = await entry.credentials.lease({ subject, resource, clientAddress: this.#options.clientAddress })
    } catch (cause) {
      driver.upstreamFailed(
        cause instanceof SallyportError
          ? cause
          : new SallyportError('upstream_authentication_failed', 'there is no credential for the target', { cause }),
      )
      return
    }
    this.#lease = lease
    this.#expireBy(lease.expiresAtUnixMs)
    if (driver.isClosed) {
      void this.#releaseLease()
      return
    }
    let isReady = false
    this.#upstream = new Upstream({
      ssh2,
      ident,
      buffers,
      target,
      hostKeys,
      credentials: lease.credentials,
      ready: (transport) => {
        isReady = true
        this.#upstreamTransport = transport
        driver.upstreamReady(transport)
      },
      closed: (error) => {
        if (isReady) driver.closed('upstream', error)
        else
          driver.upstreamFailed(error ?? new SallyportError('upstream_unavailable', 'the target closed the connection'))
      },
    })
  }

  #expireBy(atUnixMs: number | undefined): void {
    if (atUnixMs !== undefined) this.#expiresAtUnixMs = Math.min(this.#expiresAtUnixMs, atUnixMs)
  }

  #turnAway(message: string): void {
    this.#transport?.disconnect(message)
    this.#client?.end()
    this.#options.schedule(LAST_WORDS_MS, () => this.#options.socket.destroy())
  }

  #closed(): void {
    this.#cancelLoginTimer()
    const failure = this.#transport?.failure ?? this.#failure
    if (this.#driver === undefined) {
      if (failure !== undefined) this.#options.events.emit('failed', this.#info, failure)
      this.#over()
      return
    }
    this.#driver.closed('downstream', failure)
  }

  /** Looks for idleness, age, and whether both sides live. */
  sweep(nowUnixMs: number): void {
    const driver = this.#driver
    if (driver === undefined || driver.isClosed) return
    const { idleTimeoutMs, maxSessionMs } = this.#options.limits
    if (driver.receivedBytes !== this.#seenBytes || driver.isWorking) {
      this.#seenBytes = driver.receivedBytes
      this.#seenAtUnixMs = nowUnixMs
    }
    if (idleTimeoutMs !== undefined && nowUnixMs - this.#seenAtUnixMs >= idleTimeoutMs) {
      this.shutdown({ reason: 'limit', message: 'the session was idle for too long' })
    } else if (maxSessionMs !== undefined && nowUnixMs - this.#startedAtUnixMs >= maxSessionMs) {
      this.shutdown({ reason: 'limit', message: 'the session has reached its maximum length' })
    } else if (nowUnixMs >= this.#expiresAtUnixMs) {
      this.shutdown({ reason: 'revoked', message: 'what the session was opened with has expired' })
    } else {
      this.#keepAlive('downstream', this.#transport, nowUnixMs)
      this.#keepAlive('upstream', this.#upstreamTransport, nowUnixMs)
    }
  }

  /** A side that says nothing is asked; one that does not answer either is gone. */
  #keepAlive(side: 'downstream' | 'upstream', transport: SshTransport | undefined, nowUnixMs: number): void {
    if (transport === undefined) return
    const { keepaliveMs = KEEPALIVE_MS, maxUnansweredKeepalives = MAX_UNANSWERED_KEEPALIVES } = this.#options.limits
    const sign = this.#signs[side]
    if (transport.packets !== sign.packets) {
      sign.packets = transport.packets
      sign.atUnixMs = nowUnixMs
      sign.asked = 0
      return
    }
    if (nowUnixMs - sign.atUnixMs < keepaliveMs * (sign.asked + 1)) return
    if (sign.asked >= maxUnansweredKeepalives) {
      this.shutdown({
        reason: 'withdrawn',
        message: side === 'downstream' ? 'the client is gone' : 'the target is gone',
      })
      this.#options.schedule(LAST_WORDS_MS, () => this.destroy())
      return
    }
    sign.asked++
    this.#driver?.ping(side)
  }

  /** Ends the session when nothing of it runs. */
  drain(denial: Denial): void {
    this.#drainDenial = denial
    if (this.#driver === undefined || this.#driver.isIdle) this.shutdown(denial)
  }

  #drainWhenIdle(): void {
    const denial = this.#drainDenial
    if (denial === undefined) return
    // Not now: the last bytes are still on their way through.
    setImmediate(() => {
      if (this.#driver?.isIdle === true) this.shutdown(denial)
    })
  }

  shutdown(denial: Denial): void {
    if (this.#isOver) return
    if (this.#driver === undefined) this.#turnAway(denial.message)
    else this.#driver.shutdown(denial)
  }

  destroy(): void {
    this.#upstream?.destroy()
    this.#options.socket.destroy()
  }

  async #releaseLease(): Promise<void> {
    const lease = this.#lease
    this.#lease = undefined
    try {
      await lease?.release?.()
    } catch {
      // What goes wrong there is for its provider to report: the session has ended either way.
    }
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    void this.#releaseLease()
    const { socket, schedule } = this.#options
    if (!socket.destroyed) {
      schedule(LAST_WORDS_MS, () => {
        socket.destroy()
        this.#upstream?.destroy()
      })
    } else {
      this.#upstream?.destroy()
    }
    this.#finish()
  }
}

interface Sign {
  packets: number
  atUnixMs: number
  asked: number
}

function newSign(): Sign {
  return { packets: -1, atUnixMs: 0, asked: 0 }
}

/** For identity layers that want to know what is asked for: it must not tell which targets there are. */
function unknownResource(target: string | undefined): Resource {
  return { name: target ?? '', protocol: 'ssh' }
}

/** All limits of all keys that took part hold. */
function permissionsOf({ keys }: SshAdmission): SshPermissions {
  const every = (is: (permissions: SshKeyPermissions) => boolean): boolean => keys.every((key) => is(key.permissions))
  const forced = new Set(keys.flatMap(({ permissions }) => permissions.forcedCommand ?? []))
  // Fails closed: two keys that force two commands force neither.
  if (forced.size > 1) throw new SallyportError('authentication_failed', 'the keys force different commands')
  const [forcedCommand] = forced
  return {
    allowsPty: every((permissions) => permissions.allowsPty),
    allowsPortForwarding: every((permissions) => permissions.allowsPortForwarding),
    allowsAgentForwarding: every((permissions) => permissions.allowsAgentForwarding),
    allowsX11Forwarding: every((permissions) => permissions.allowsX11Forwarding),
    ...(forcedCommand === undefined ? {} : { forcedCommand }),
  }
}
