import { type Denial, type Obligations, SallyportError } from '../../../core/index.js'
import { denialText } from '../files/denial-text.js'
import { masksStreams, type TransferMeter } from '../files/transfer-meter.js'
import {
  decodeRequest,
  type FollowUp,
  type JudgedOperation,
  notOpenedFor,
  type RequestContext,
  unknownHandle,
} from './decode-request.js'
import * as p from './packet-types.js'
import { initPacket, workingDirectoryPacket } from './replies.js'
import type { Shared } from './shared.js'

/** A request at the front of the client's bytes that waits for its verdict. */
interface Held {
  readonly commandId: number
  readonly id: number
  readonly type: number
  readonly packetBytes: number
  readonly judged: JudgedOperation
  readonly followUp: FollowUp
}

/** Replies of our own that may wait for the end of a server's packet before the client's next requests wait too. */
const MAX_WAITING_REPLIES = 64
/** uint32 length, byte type, uint32 id, uint32 handle length. */
const HANDLE_AT = 13
const MAX_HANDLE_BYTES = 256

const NO_OBLIGATIONS: Obligations = Object.freeze({})
const STATUS_ONLY: FollowUp = Object.freeze({ expects: p.STATUS })
const OWN_LOOK_UP: FollowUp = Object.freeze({ expects: p.NAME, learns: 'working-directory', isOwn: true })
const MAX_ID = 0xffff_ffff

/** What a client asks: judged, refused or passed on, in its order. */
export class ClientHalf {
  readonly #s: Shared
  readonly #context: RequestContext
  #held: Held | undefined
  #hasEnded = false
  /** Whether the server may be asked for its working directory: once, and again when it may have moved. */
  #mayLocate = true
  /** Bytes of a WRITE's content that have not come yet, and where they go: nowhere, for one that was refused. */
  #bodyLeft = 0
  #bodyMeter: TransferMeter | undefined

  constructor(shared: Shared) {
    this.#s = shared
    this.#context = {
      paths: shared.paths,
      maxPathBytes: shared.limits.maxPathBytes,
      isLinkFirst: shared.options.symlinkOrder === 'draft',
      handle: (key) => shared.handles.get(key),
      mayExtend: (name) => shared.extensions.has(name),
    }
  }

  get heldCommandId(): number | undefined {
    return this.#held?.commandId
  }

  end(): void {
    this.#hasEnded = true
  }

  /** Moves by one packet, or by what is there of one. Returns whether anything moved. */
  step(): boolean {
    if (this.#bodyLeft > 0) return this.#moveBody() || this.#passEnd()
    const s = this.#s
    if (this.#held !== undefined || s.phase === 'version' || s.phase === 'locating') return false
    if (s.requests.size >= s.limits.maxRequests || s.waitingReplies >= MAX_WAITING_REPLIES) return false
    const reader = s.fromClient
    if (!reader.fill(5)) return this.#passEnd()
    const { bytes, position } = reader
    const length = bytes.readUInt32BE(position)
    const type = bytes[position + 4] as number
    if (length < 5) throw s.clientViolation(`${p.packetName(type)} has ${length} bytes, expected at least 5`)
    if (length > s.limits.maxPacketBytes) {
      throw new SallyportError('limit_exceeded', `${p.packetName(type)} has ${length} bytes`)
    }
    if (s.phase === 'ready' && type === p.WRITE) return this.#write(length) || this.#passEnd()
    if (!reader.fill(4 + length)) return this.#passEnd()
    if (s.phase === 'init') return this.#init(length, type)
    if (type === p.INIT) throw s.clientViolation('SSH_FXP_INIT came a second time')
    return type === p.READ ? this.#read(length) : this.#request(length, type)
  }

  permit(obligations: Obligations): void {
    const s = this.#s
    const held = this.#release()
    const { commandId, followUp, id, judged, type } = held
    const refusal = this.#maskingRefusal(followUp, obligations)
    if (refusal !== undefined) {
      s.deny(id, p.FX_PERMISSION_DENIED, judged.text, refusal)
      s.fromClient.position += held.packetBytes
      s.answer(commandId, {
        outcome: 'failed',
        tags: [],
        rows: 0,
        bytes: 0,
        errorCode: p.statusName(p.FX_PERMISSION_DENIED),
        errorMessage: refusal.message,
      })
      return
    }
    if (followUp.moves !== undefined) {
      s.paths.forget(followUp.moves.from)
      this.#mayLocate ||= s.paths.workingDirectory === undefined
    }
    if (followUp.opens !== undefined) s.opening++
    this.#forward(held.packetBytes, id, type, followUp, commandId, obligations)
  }

  refuse(denial: Denial): void {
    const held = this.#release()
    this.#s.reply(held.id, p.FX_PERMISSION_DENIED, denialText(denial))
    this.#s.fromClient.position += held.packetBytes
  }

  #release(): Held {
    const held = this.#held
    if (held === undefined) throw new SallyportError('misuse', 'no command waits for a verdict')
    this.#held = undefined
    return held
  }

  /** Fails closed: what is to be masked in files, and cannot be, is not read. */
  #maskingRefusal({ opens }: FollowUp, obligations: Obligations): Denial | undefined {
    if (opens?.kind !== 'file') return undefined
    const isAsked = opens.canRead && this.#s.options.maskedReads !== 'pass'
    try {
      if (!masksStreams(obligations) || !isAsked) return undefined
      return { reason: 'masking', message: 'files with values to be masked cannot be read over SFTP' }
    } catch {
      return { reason: 'masking', message: 'the masks for this file cannot be applied' }
    }
  }

  /** uint32 version; nothing else in version 3 (section 4 of the draft). */
  #init(length: number, type: number): boolean {
    const s = this.#s
    const reader = s.fromClient
    if (type !== p.INIT) throw s.clientViolation(`expected SSH_FXP_INIT, got ${p.packetName(type)}`)
    const version = reader.bytes.readUInt32BE(reader.position + 5)
    if (version < 3) throw s.clientViolation(`version ${version} of SFTP is not supported, expected 3 or later`)
    if (version === 3 && length === 5) s.toServer.forward(reader.bytes, reader.position, reader.position + 9)
    else s.toServer.send(initPacket())
    reader.position += 4 + length
    s.phase = 'version'
    return true
  }

  #request(length: number, type: number): boolean {
    const s = this.#s
    const { bytes, position } = s.fromClient
    const id = this.#freshId(bytes.readUInt32BE(position + 5))
    const packetBytes = 4 + length
    let decoded: ReturnType<typeof decodeRequest>
    s.paths.hasMissedWorkingDirectory = false
    try {
      decoded = decodeRequest(type, bytes.subarray(position + 9, position + packetBytes), this.#context)
    } catch (cause) {
      if (!(cause instanceof SallyportError)) throw cause
      const isLimit = cause.code === 'limit_exceeded'
      const denial: Denial = { reason: isLimit ? 'limit' : 'unparsed', message: cause.message }
      return this.#deny(packetBytes, id, type, isLimit ? p.FX_FAILURE : p.FX_BAD_MESSAGE, denial)
    }
    if (decoded.kind === 'deny') return this.#deny(packetBytes, id, type, decoded.code, decoded.denial)
    const { followUp } = decoded
    if (decoded.kind === 'pass') {
      const { handle } = followUp
      // Whoever closes a handle must not use it again, whatever comes of it: the server may give its name to another.
      if (followUp.isClose === true && handle !== undefined) s.handles.delete(handle.key)
      return this.#forward(packetBytes, id, type, followUp, undefined, NO_OBLIGATIONS)
    }
    if (s.paths.hasMissedWorkingDirectory && this.#mayLocate) return this.#locate()
    if (followUp.opens !== undefined && s.handles.size + s.opening >= s.limits.maxHandles) {
      const denial: Denial = { reason: 'limit', message: `more than ${s.limits.maxHandles} files may not be open` }
      return this.#deny(packetBytes, id, type, p.FX_FAILURE, denial)
    }
    const { channelId } = s.options
    const commandId = s.options.nextCommandId()
    this.#held = { commandId, id, type, packetBytes, judged: decoded.judged, followUp }
    s.events.push({
      type: 'command',
      command: {
        id: commandId,
        protocol: 'ssh',
        ...(channelId === undefined ? {} : { channelId }),
        kind: 'sftp',
        via: 'sftp',
        ...decoded.judged,
      },
    })
    return true
  }

  /**
   * Asks the server for its working directory before a relative path is judged: OpenSSH's scp never does, and what a relative
   * path names could not be told. The request stays where it is until the answer has come.
   */
  #locate(): true {
    const s = this.#s
    this.#mayLocate = false
    let id = MAX_ID
    while (s.requests.has(id)) id--
    s.toServer.send(workingDirectoryPacket(id))
    const request = { type: p.REALPATH, followUp: OWN_LOOK_UP, commandId: undefined, obligations: NO_OBLIGATIONS }
    s.requests.set(id, { ...request, offset: 0, length: 0 })
    s.phase = 'locating'
    return true
  }

  /** string handle, uint64 offset, uint32 length (section 6.4). */
  #read(length: number): boolean {
    const s = this.#s
    const { bytes, position } = s.fromClient
    const id = this.#freshId(bytes.readUInt32BE(position + 5))
    const packetBytes = 4 + length
    const handleBytes = length >= 21 ? bytes.readUInt32BE(position + 9) : -1
    if (handleBytes < 0 || handleBytes > MAX_HANDLE_BYTES || length !== 21 + handleBytes) {
      const denial: Denial = { reason: 'unparsed', message: 'SSH_FXP_READ does not end with its last field' }
      return this.#deny(packetBytes, id, p.READ, p.FX_BAD_MESSAGE, denial)
    }
    const at = position + HANDLE_AT + handleBytes
    const handle = s.handles.get(bytes.toString('latin1', position + HANDLE_AT, at))
    const denied =
      handle === undefined
        ? unknownHandle()
        : handle.rights.kind !== 'file' || !handle.rights.canRead
          ? notOpenedFor('reading')
          : undefined
    if (denied !== undefined) return this.#deny(packetBytes, id, p.READ, denied.code, denied.denial)
    if (handle?.capped !== undefined) {
      s.reply(id, p.FX_FAILURE, handle.capped.message)
      s.fromClient.position += packetBytes
      return true
    }
    const followUp: FollowUp = handle === undefined ? STATUS_ONLY : { expects: p.DATA, handle }
    const offset = bytes.readUInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4)
    return this.#forward(
      packetBytes,
      id,
      p.READ,
      followUp,
      undefined,
      NO_OBLIGATIONS,
      offset,
      bytes.readUInt32BE(at + 8),
    )
  }

  /** string handle, uint64 offset, string data (section 6.4). Its header is judged, its data passes as it comes. */
  #write(length: number): boolean {
    const s = this.#s
    const reader = s.fromClient
    if (length < 21) throw s.clientViolation('SSH_FXP_WRITE ends inside of its fields')
    if (!reader.fill(HANDLE_AT)) return false
    const handleBytes = reader.bytes.readUInt32BE(reader.position + 9)
    if (handleBytes > MAX_HANDLE_BYTES || length < 21 + handleBytes) {
      throw s.clientViolation('SSH_FXP_WRITE ends inside of its fields')
    }
    const headerBytes = HANDLE_AT + handleBytes + 12
    if (!reader.fill(headerBytes)) return false
    const { bytes, position } = reader
    const id = this.#freshId(bytes.readUInt32BE(position + 5))
    const at = position + HANDLE_AT + handleBytes
    const dataBytes = bytes.readUInt32BE(at + 8)
    if (length !== 21 + handleBytes + dataBytes) throw s.clientViolation('SSH_FXP_WRITE does not end with its data')
    const handle = s.handles.get(bytes.toString('latin1', position + HANDLE_AT, at))
    this.#bodyLeft = dataBytes
    this.#bodyMeter = undefined
    if (handle === undefined || handle.rights.kind !== 'file' || !handle.rights.canWrite) {
      const denied = handle === undefined ? unknownHandle() : notOpenedFor('writing')
      return this.#deny(headerBytes, id, p.WRITE, denied.code, denied.denial)
    }
    const wasCapped = handle.capped !== undefined
    const capped = handle.take(dataBytes)
    if (capped !== undefined) {
      if (!wasCapped) return this.#deny(headerBytes, id, p.WRITE, p.FX_FAILURE, capped)
      s.reply(id, p.FX_FAILURE, capped.message)
      reader.position += headerBytes
      return true
    }
    this.#bodyMeter = handle.writer
    handle.writer.begin(bytes.readUInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4))
    return this.#forward(headerBytes, id, p.WRITE, { expects: p.STATUS, handle }, undefined, NO_OBLIGATIONS)
  }

  #moveBody(): boolean {
    const s = this.#s
    const reader = s.fromClient
    if (!reader.advance()) return false
    const start = reader.position
    const end = Math.min(start + this.#bodyLeft, reader.limit)
    if (end === start) return false
    this.#bodyLeft -= end - start
    reader.position = end
    if (this.#bodyMeter === undefined) return true
    s.toServer.forward(reader.bytes, start, end)
    const content = this.#bodyMeter.push(reader.bytes.subarray(start, end))
    if (content !== undefined) s.events.push(content)
    return true
  }

  /** Lets the bytes at the front pass as they are, and expects an answer. */
  #forward(
    count: number,
    id: number,
    type: number,
    followUp: FollowUp,
    commandId: number | undefined,
    obligations: Obligations,
    offset = 0,
    length = 0,
  ): true {
    const s = this.#s
    const reader = s.fromClient
    s.toServer.forward(reader.bytes, reader.position, reader.position + count)
    reader.position += count
    if (followUp.handle !== undefined) followUp.handle.inFlight++
    s.requests.set(id, { type, followUp, commandId, obligations, offset, length })
    return true
  }

  #deny(packetBytes: number, id: number, type: number, code: number, denial: Denial): true {
    this.#s.deny(id, code, p.packetName(type), denial)
    this.#s.fromClient.position += packetBytes
    return true
  }

  /** INVARIANT: no two requests on their way have one id, so that an answer is that of the request it is taken for. */
  #freshId(id: number): number {
    if (this.#s.requests.has(id)) throw this.#s.clientViolation('the id of a request is that of one not yet answered')
    return id
  }

  /** Hands on the end of the client's bytes once all before it are gone. A packet that ends too early ends there too. */
  #passEnd(): boolean {
    if (!this.#hasEnded) return false
    this.#hasEnded = false
    this.#s.flush()
    this.#s.events.push({ type: 'end', to: 'upstream' })
    return true
  }
}
