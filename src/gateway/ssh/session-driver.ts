import {
  type Command,
  type CommandAnswer,
  type Denial,
  SallyportError,
  type Schedule,
  type Side,
} from '../../core/index.js'
import type { Judgement, Session } from '../../enforcement/types.js'
import type { SshConnection, SshEvent, WakePurpose } from '../../protocols/ssh/index.js'
import type { SshTransport } from './transport.js'

/** More than this unsent to one side, and the other side is not read either: windows alone allow for many channels' worth. */
const MAX_UNSENT_BYTES = 16_777_216

export interface SshDriverObserver {
  judged?(command: Command, judgement: Judgement): void
  answered?(commandId: number, answer: CommandAnswer): void
  refused?(via: string, denial: Denial): void
  failed?(error: SallyportError): void
}

export interface SshSessionDriverOptions {
  readonly connection: SshConnection
  readonly session: Session
  readonly downstream: SshTransport
  readonly schedule: Schedule
  /** New keys after so many bytes to a side. */
  readonly rekeyBytes: number
  readonly observer?: SshDriverObserver
}

/**
 * Joins one connection and one session to two transports, once the client is let in. It owns neither: they call `closed`.
 *
 * Every call into the connection is followed by a pump: events are handled until there are none.
 */
export class SshSessionDriver {
  readonly session: Session
  readonly #connection: SshConnection
  readonly #options: SshSessionDriverOptions
  readonly #downstream: SshTransport
  #upstream: SshTransport | undefined
  readonly #timers = new Map<string, () => void>()
  readonly #waiting = new Set<number>()
  /** Permitted, and not answered yet. */
  readonly #running = new Set<number>()
  /** Of these, shells and their lines: they run while nobody does anything. */
  readonly #interactive = new Set<number>()
  #isPumping = false
  #mustPumpAgain = false
  #isClosed = false
  #isRecordBehind = false
  #isFinished = false
  #endReason: string | undefined
  #finish: () => void = () => {}
  /** Resolves when the session's record has ended. Never rejects. */
  readonly finished: Promise<void>

  constructor(options: SshSessionDriverOptions) {
    this.#options = options
    this.#connection = options.connection
    this.session = options.session
    this.#downstream = options.downstream
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    options.session.onFailure((denial) => this.shutdown(denial))
    this.#open(options.downstream)
  }

  #open(transport: SshTransport): void {
    const { side } = transport
    transport.open({
      receive: (payload) => {
        this.#connection.receive(side, payload)
        this.#pump()
      },
      settled: () => this.#regulate(),
      drained: () => {
        this.#connection.full(side, false)
        this.#pump()
        this.#regulate()
      },
    })
    this.#regulate()
  }

  /** No command of this session runs or waits. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#waiting.size === 0
  }

  /** Something is done for this session, though nothing may be heard of it: a command, or a decision on one. */
  get isWorking(): boolean {
    return this.#running.size > this.#interactive.size || this.#waiting.size > 0
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Grows with every message: a sweep that sees the same number twice has found an inactive session. */
  get receivedBytes(): number {
    return this.#downstream.receivedBytes + (this.#upstream?.receivedBytes ?? 0)
  }

  /** The target has let us in. To be called in the same turn: its first message may follow at once. */
  upstreamReady(transport: SshTransport): void {
    if (this.#isClosed) {
      transport.disconnect('the client has left')
      return
    }
    this.#upstream = transport
    this.#open(transport)
    this.#call(() => this.#connection.upstreamReady())
    this.#downstream.resume()
  }

  upstreamFailed(error: SallyportError): void {
    this.#endReason ??= error.message
    this.#call(() => this.#connection.upstreamFailed(error))
  }

  /** A side's socket is gone. */
  closed(side: Side, error?: SallyportError): void {
    if (error !== undefined && !this.#isClosed) this.#options.observer?.failed?.(error)
    this.#endReason ??=
      error?.message ?? (side === 'downstream' ? 'the client disconnected' : 'the target disconnected')
    this.#call(() => this.#connection.end(side))
    this.#close('the other side is gone')
  }

  shutdown(denial: Denial): void {
    this.#endReason ??= `${denial.reason}: ${denial.message}`
    this.#call(() => this.#connection.shutdown(denial))
  }

  ping(side: Side): void {
    this.#call(() => this.#connection.ping(side))
  }

  #call(call: () => void): void {
    try {
      call()
    } catch (cause) {
      this.#broken(cause)
      return
    }
    this.#pump()
  }

  #broken(cause: unknown): void {
    const error = new SallyportError('internal', 'a connection could not be driven further', { cause })
    this.#endReason ??= error.message
    this.#options.observer?.failed?.(error)
    this.#close('internal error')
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
      } while (this.#mustPumpAgain)
    } catch (cause) {
      // Fails closed: whatever went wrong in here, this session's state is no longer known.
      this.#broken(cause)
    } finally {
      this.#isPumping = false
    }
  }

  #handle(event: SshEvent): void {
    switch (event.type) {
      case 'send':
        this.#send(event.to, event.payload, event.body)
        return
      case 'command':
        return this.#judge(event.command)
      case 'answer':
        this.#running.delete(event.commandId)
        this.#interactive.delete(event.commandId)
        this.session.answered(event.commandId, event.answer)
        this.#options.observer?.answered?.(event.commandId, event.answer)
        return
      case 'output':
        this.session.output(event.commandId, event.channel, event.bytes)
        this.#awaitRecord()
        return
      case 'withdraw':
        this.session.withdraw(event.commandId)
        return
      case 'refused':
        this.session.refused(event.via, event.denial)
        this.#options.observer?.refused?.(event.via, event.denial)
        return
      case 'transferred':
        this.session.transferred(event.commandId, event.transfer)
        return
      case 'file-content':
        this.session.fileContent(event.commandId, event.content)
        this.#awaitRecord()
        return
      case 'resized':
        this.session.resized(event.commandId, event.size)
        return
      case 'detected':
        this.session.detected(event.commandId, event.text)
        return
      case 'wake-later':
        this.#wakeLater(event.channelId, event.purpose, event.delayMs)
        return
      case 'close':
        this.#endReason ??= event.error?.message ?? event.message
        if (event.error !== undefined) this.#options.observer?.failed?.(event.error)
        this.#close(event.message)
        return
    }
  }

  #send(to: Side, payload: Buffer, body: Buffer | undefined): void {
    const transport = to === 'downstream' ? this.#downstream : this.#upstream
    if (transport === undefined) return
    transport.send(payload, body)
    if (transport.isFull) this.#connection.full(to, true)
  }

  #judge(command: Command): void {
    const { session } = this
    let judgement: Judgement | Promise<Judgement>
    try {
      judgement = session.judge(command, (text) => {
        if (!this.#isClosed) this.#call(() => this.#connection.inform(command.id, text))
      })
    } catch {
      judgement = UNJUDGED
    }
    if ('permitted' in judgement) this.#apply(command, judgement)
    else void this.#judgeLater(command, judgement)
  }

  async #judgeLater(command: Command, judgement: Promise<Judgement>): Promise<void> {
    this.#waiting.add(command.id)
    let verdict: Judgement
    try {
      verdict = await judgement
    } catch {
      // Fails closed: a session promises not to reject; one that does has decided nothing.
      verdict = UNJUDGED
    }
    this.#waiting.delete(command.id)
    this.#call(() => this.#apply(command, verdict))
  }

  #apply(command: Command, judgement: Judgement): void {
    if (judgement.permitted) {
      this.#running.add(command.id)
      if (command.kind === 'terminal' || (command.kind === 'shell' && command.via === 'line')) {
        this.#interactive.add(command.id)
      }
      this.#connection.permit(command.id, judgement.obligations)
    } else {
      this.#connection.refuse(command.id, judgement.denial)
    }
    this.#options.observer?.judged?.(command, judgement)
  }

  #wakeLater(channelId: number, purpose: WakePurpose, delayMs: number): void {
    const key = `${purpose} ${channelId}`
    if (this.#timers.has(key) || this.#isClosed) return
    this.#timers.set(
      key,
      this.#options.schedule(delayMs, () => {
        this.#timers.delete(key)
        this.#call(() => this.#connection.wake(channelId, purpose))
      }),
    )
  }

  /** Whoever says more than can be recorded is not read until it is. */
  #awaitRecord(): void {
    if (this.#isRecordBehind) return
    const drained = this.session.recordDrained()
    if (drained === undefined) return
    this.#isRecordBehind = true
    void drained.then(() => {
      this.#isRecordBehind = false
      this.#regulate()
    })
  }

  /** Reads from a side only where what comes has somewhere to go. */
  #regulate(): void {
    const upstream = this.#upstream
    const downstream = this.#downstream
    const { rekeyBytes } = this.#options
    downstream.rekeyAfter(rekeyBytes)
    upstream?.rekeyAfter(rekeyBytes)
    // Windows bound what channels send. Requests and replies have none: a side that takes nothing is not heard either.
    const unsentBytes = Math.max(downstream.unsentBytes, upstream?.unsentBytes ?? 0)
    if (this.#isStuck(downstream, unsentBytes) || !this.#connection.wantsRead('downstream')) downstream.pause()
    else downstream.resume()
    if (upstream === undefined) return
    if (this.#isStuck(upstream, unsentBytes)) upstream.pause()
    else upstream.resume()
  }

  /** A side whose keys are awaited is heard for longer: what waits may wait for them. */
  #isStuck(transport: SshTransport, unsentBytes: number): boolean {
    return this.#isRecordBehind || unsentBytes > (transport.isExchangingKeys ? 2 : 1) * MAX_UNSENT_BYTES
  }

  #close(message: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
    for (const commandId of this.#waiting) this.session.withdraw(commandId)
    this.#downstream.disconnect(message)
    this.#upstream?.disconnect('the session is over')
    this.#settle()
  }

  #settle(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.session.end(this.#endReason ?? 'the session ended').then(this.#finish, this.#finish)
  }
}

const UNJUDGED: Judgement = {
  permitted: false,
  denial: { reason: 'engine-error', message: 'the command could not be judged' },
}
