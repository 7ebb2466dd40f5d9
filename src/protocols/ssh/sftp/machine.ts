import { type Denial, type Obligations, SallyportError, type Side } from '../../../core/index.js'
import type { FileChannelEvent, FileMachine } from '../files/events.js'
import { ClientHalf } from './client-half.js'
import type { SftpMachineOptions } from './options.js'
import { ServerHalf } from './server-half.js'
import { Shared } from './shared.js'

/** So that many small packets in one chunk do not gather more events than a driver should find at once. */
const MAX_EVENTS = 64
const NO_OBLIGATIONS: Obligations = Object.freeze({})

/**
 * The bytes of one `sftp` subsystem as a pure state machine.
 *
 * It waits for SSH_FXP_INIT, then for SSH_FXP_VERSION, and from then on for requests and answers, which are matched by id.
 * What opens a file or names a path is judged; what uses a handle follows what its opening was permitted for. A request that
 * waits for its verdict stays at the front of the client's bytes, and all behind it waits with it.
 *
 * Symbolic links are not seen: a path is where the client points. A directory in which a client, or anybody else, may make
 * links is as wide as where these can lead.
 *
 * @see draft-ietf-secsh-filexfer-02
 */
export class SftpMachine implements FileMachine {
  readonly #s: Shared
  readonly #client: ClientHalf
  readonly #server: ServerHalf
  #hasServerEnded = false

  constructor(options: SftpMachineOptions) {
    this.#s = new Shared(options)
    this.#client = new ClientHalf(this.#s)
    this.#server = new ServerHalf(this.#s)
  }

  receive(from: Side, chunk: Uint8Array, isLent = false): void {
    if (this.#s.isClosed) return
    if (from === 'downstream') this.#s.fromClient.push(chunk, isLent)
    else this.#s.fromServer.push(chunk, isLent)
  }

  next(): FileChannelEvent | undefined {
    const s = this.#s
    for (;;) {
      const event = s.events.shift()
      if (event !== undefined) return event
      if (s.isClosed) return undefined
      this.#advance()
      if (s.events.length > 0) continue
      s.flush()
      if (s.events.length > 0) continue
      s.fromClient.settle()
      s.fromServer.settle()
      return undefined
    }
  }

  permit(commandId: number, obligations: Obligations = NO_OBLIGATIONS): void {
    if (this.#isHeld(commandId)) this.#client.permit(obligations)
  }

  refuse(commandId: number, denial: Denial): void {
    if (this.#isHeld(commandId)) this.#client.refuse(denial)
  }

  end(from: Side): void {
    if (from === 'downstream') this.#client.end()
    else this.#hasServerEnded = true
  }

  abandon(error?: SallyportError): void {
    const s = this.#s
    if (s.isClosed) return
    const held = this.#client.heldCommandId
    if (held !== undefined) s.events.push({ type: 'withdraw', commandId: held })
    s.close(error)
  }

  wantsRead(from: Side): boolean {
    const s = this.#s
    if (s.isClosed) return false
    // A request is judged whole: there has to be room for the longest.
    return (
      from === 'upstream' || s.fromClient.available < Math.max(s.limits.maxWaitingBytes, s.limits.maxPacketBytes + 4)
    )
  }

  #isHeld(commandId: number): boolean {
    if (this.#s.isClosed) return false
    if (this.#client.heldCommandId === commandId) return true
    throw new SallyportError('misuse', `command ${commandId} does not wait for a verdict`)
  }

  #advance(): void {
    const s = this.#s
    try {
      for (let isMoving = true; isMoving; ) {
        isMoving = false
        while (!s.isClosed && s.events.length < MAX_EVENTS && this.#server.step()) isMoving = true
        while (!s.isClosed && s.events.length < MAX_EVENTS && this.#client.step()) isMoving = true
        if (s.isClosed || s.events.length >= MAX_EVENTS) return
      }
      if (this.#hasServerEnded) this.#ended()
    } catch (cause) {
      this.abandon(
        cause instanceof SallyportError ? cause : new SallyportError('internal', 'the machine failed', { cause }),
      )
    }
  }

  #ended(): void {
    const s = this.#s
    s.flush()
    s.events.push({ type: 'end', to: 'downstream' })
    this.abandon(
      this.#server.isMidPacket
        ? new SallyportError('connection_closed', 'the target ended inside of a packet', { blame: 'upstream' })
        : undefined,
    )
  }
}

export function createSftpMachine(options: SftpMachineOptions): FileMachine {
  return new SftpMachine(options)
}
