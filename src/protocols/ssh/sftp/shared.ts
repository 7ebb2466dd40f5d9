import {
  ChunkReader,
  type CommandAnswer,
  type Denial,
  Fifo,
  type Obligations,
  Outbox,
  SallyportError,
} from '../../../core/index.js'
import type { FileChannelEvent } from '../files/events.js'
import { PathResolver } from '../files/paths.js'
import type { FollowUp } from './decode-request.js'
import type { OpenHandle } from './handles.js'
import { type SftpLimits, type SftpMachineOptions, sftpExtensionsOf, sftpLimitsOf } from './options.js'
import { statusName } from './packet-types.js'
import { statusPacket } from './replies.js'

/** A request that the server has and has not answered. */
export interface Request {
  readonly type: number
  readonly followUp: FollowUp
  /** Undefined: part of what was permitted before. */
  readonly commandId: number | undefined
  readonly obligations: Obligations
  /** Of a READ. */
  readonly offset: number
  readonly length: number
}

/** What both halves of the machine work on. */
export class Shared {
  readonly events = new Fifo<FileChannelEvent>()
  readonly fromClient = new ChunkReader()
  readonly fromServer = new ChunkReader()
  readonly toClient = new Outbox('downstream', this.events)
  readonly toServer = new Outbox('upstream', this.events)
  readonly requests = new Map<number, Request>()
  readonly handles = new Map<string, OpenHandle>()
  readonly paths = new PathResolver()
  readonly options: SftpMachineOptions
  readonly limits: SftpLimits
  /** What the server announced and the client was told. */
  readonly extensions = new Set<string>()
  readonly allowedExtensions: ReadonlySet<string>
  /** `locating`: the server was asked for its working directory, and the client's next request waits for the answer. */
  phase: 'init' | 'version' | 'locating' | 'ready' = 'init'
  isClosed = false
  /** Open requests that the server has not answered. */
  opening = 0
  /** A packet of the server is half sent: replies of our own wait for its end. */
  isMidPacket = false
  #replies: Buffer[] = []

  constructor(options: SftpMachineOptions) {
    this.options = options
    this.limits = sftpLimitsOf(options)
    this.allowedExtensions = sftpExtensionsOf(options)
  }

  get waitingReplies(): number {
    return this.#replies.length
  }

  /** Answers a request in the server's place: at once, since answers are matched by id and have no order. */
  reply(id: number, code: number, message: string): void {
    const packet = statusPacket(id, code, message)
    if (this.isMidPacket) this.#replies.push(packet)
    else this.toClient.send(packet)
  }

  packetEnded(): void {
    this.isMidPacket = false
    if (this.#replies.length === 0) return
    for (const packet of this.#replies) this.toClient.send(packet)
    this.#replies = []
  }

  /** Refuses by itself, for the record too. */
  deny(id: number, code: number, via: string, denial: Denial): void {
    this.reply(id, code, denial.message)
    this.events.push({ type: 'refused', via, denial })
  }

  answer(commandId: number, answer: CommandAnswer): void {
    this.events.push({ type: 'answer', commandId, answer })
  }

  /** Tells how a handle's use ended, once nothing on its way names it any more. */
  settle(handle: OpenHandle): void {
    if (handle.closedWith === undefined || handle.inFlight > 0) return
    const { failure, capped } = handle
    this.#finish(handle, {
      outcome: failure === undefined && capped === undefined ? 'completed' : 'failed',
      tags: [handle.closedWith],
      rows: handle.rows,
      bytes: handle.bytes,
      ...(capped === undefined
        ? failure === undefined
          ? {}
          : { errorCode: failure.code, errorMessage: failure.message }
        : { errorCode: statusName(4), errorMessage: capped.message }),
    })
  }

  /** Idempotent. What is still open ends as interrupted. */
  close(error?: SallyportError): void {
    if (this.isClosed) return
    this.isClosed = true
    this.flush()
    const handles = new Set(this.handles.values())
    for (const { commandId, followUp } of this.requests.values()) {
      if (followUp.handle !== undefined) handles.add(followUp.handle)
      if (commandId !== undefined) this.answer(commandId, { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 })
    }
    for (const handle of handles) {
      this.#finish(handle, { outcome: 'interrupted', tags: [], rows: handle.rows, bytes: handle.bytes })
    }
    this.requests.clear()
    this.handles.clear()
    this.fromClient.clear()
    this.fromServer.clear()
    this.events.push(error === undefined ? { type: 'close' } : { type: 'close', error })
  }

  flush(): void {
    while (!this.toClient.isEmpty) this.toClient.flush()
    while (!this.toServer.isEmpty) this.toServer.flush()
  }

  clientViolation(message: string): SallyportError {
    return new SallyportError('protocol_violation', message)
  }

  serverViolation(message: string): SallyportError {
    return new SallyportError('upstream_protocol_violation', message)
  }

  #finish(handle: OpenHandle, answer: CommandAnswer): void {
    for (const meter of handle.meters) for (const event of meter.finish()) this.events.push(event)
    this.answer(handle.commandId, answer)
  }
}
