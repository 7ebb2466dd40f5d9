import { isUtf8 } from 'node:buffer'
import { type CommandAnswer, type Denial, SshReader, type TextMasker } from '../../../core/index.js'
import type { TransferMeter } from '../files/transfer-meter.js'
import { isKnownExtension } from './extensions.js'
import { OpenHandle } from './handles.js'
import * as p from './packet-types.js'
import { statusPacket, versionPacket } from './replies.js'
import type { Request, Shared } from './shared.js'

/** uint32 length, byte type, uint32 id, uint32 data length. */
const DATA_HEADER_BYTES = 13
const MAX_EXTENSIONS = 64
const MAX_HANDLE_BYTES = 256
/** Of an error text that goes on record. */
const MAX_ERROR_CHARACTERS = 512

/** What the server answers: matched to its request, learnt from, and passed on. */
export class ServerHalf {
  readonly #s: Shared
  /** Bytes of a DATA's content that have not come yet, and the meter they pass; without one they are dropped. */
  #bodyLeft = 0
  #bodyMeter: TransferMeter | undefined
  #bodyId = 0

  constructor(shared: Shared) {
    this.#s = shared
  }

  /** Moves by one packet, or by what is there of one. Returns whether anything moved. */
  step(): boolean {
    if (this.#bodyLeft > 0) return this.#moveBody()
    const s = this.#s
    const reader = s.fromServer
    if (!reader.fill(5)) return false
    const length = reader.bytes.readUInt32BE(reader.position)
    const type = reader.bytes[reader.position + 4] as number
    if (length < 5 || length > s.limits.maxPacketBytes) {
      throw s.serverViolation(`${p.packetName(type)} has ${length} bytes`)
    }
    if (s.phase === 'init' || s.phase === 'version') return this.#version(length, type)
    if (type === p.DATA) return this.#data(length)
    if (!reader.fill(4 + length)) return false
    return this.#answer(length, type)
  }

  /** Whether the server stopped inside of a packet. */
  get isMidPacket(): boolean {
    return this.#bodyLeft > 0 || this.#s.fromServer.available > 0
  }

  /** uint32 version, then pairs of string name and string data: those on the list pass (section 4 of the draft). */
  #version(length: number, type: number): boolean {
    const s = this.#s
    const reader = s.fromServer
    if (s.phase !== 'version' || type !== p.VERSION) throw s.serverViolation(`${p.packetName(type)} was not expected`)
    if (!reader.fill(4 + length)) return false
    const start = reader.position
    const body = this.#reader(type, reader.bytes.subarray(start + 5, start + 4 + length))
    const version = body.uint32()
    if (version !== 3) throw s.serverViolation(`the target speaks version ${version} of SFTP, expected 3`)
    const announced: [string, string][] = []
    let count = 0
    while (body.remaining > 0) {
      const name = body.string().toString('latin1')
      const data = body.string().toString('latin1')
      if (++count > MAX_EXTENSIONS) throw body.limit(`has more than ${MAX_EXTENSIONS} extensions`)
      if (isKnownExtension(name, data) && s.allowedExtensions.has(name)) announced.push([name, data])
    }
    for (const [name] of announced) s.extensions.add(name)
    if (announced.length === count) s.toClient.forward(reader.bytes, start, start + 4 + length)
    else s.toClient.send(versionPacket(announced))
    reader.position = start + 4 + length
    s.phase = 'ready'
    return true
  }

  /** string data (section 7). Its header is checked, its data passes as it comes. */
  #data(length: number): boolean {
    const s = this.#s
    const reader = s.fromServer
    if (!reader.fill(DATA_HEADER_BYTES)) return false
    const { bytes, position } = reader
    const id = bytes.readUInt32BE(position + 5)
    const dataBytes = bytes.readUInt32BE(position + 9)
    const request = this.#requestOf(id, p.DATA)
    const { handle } = request.followUp
    if (length !== 9 + dataBytes || dataBytes > request.length || handle === undefined) {
      throw s.serverViolation('SSH_FXP_DATA is not as long as it says, or longer than was asked for')
    }
    reader.position += DATA_HEADER_BYTES
    this.#bodyLeft = dataBytes
    this.#bodyId = id
    const wasCapped = handle.capped !== undefined
    const capped = handle.take(dataBytes)
    if (capped === undefined) {
      this.#bodyMeter = handle.reader
      handle.reader.begin(request.offset)
      s.isMidPacket = true
      s.toClient.forward(bytes, position, position + DATA_HEADER_BYTES)
    } else {
      this.#bodyMeter = undefined
      this.#cap(id, capped, { isFirst: !wasCapped, type: p.READ })
    }
    if (dataBytes === 0) this.#dataEnded()
    return true
  }

  #moveBody(): boolean {
    const s = this.#s
    const reader = s.fromServer
    if (!reader.advance()) return false
    const start = reader.position
    const end = Math.min(start + this.#bodyLeft, reader.limit)
    if (end === start) return false
    this.#bodyLeft -= end - start
    reader.position = end
    if (this.#bodyMeter !== undefined) {
      s.toClient.forward(reader.bytes, start, end)
      const content = this.#bodyMeter.push(reader.bytes.subarray(start, end))
      if (content !== undefined) s.events.push(content)
    }
    if (this.#bodyLeft === 0) this.#dataEnded()
    return true
  }

  #dataEnded(): void {
    const s = this.#s
    const request = s.requests.get(this.#bodyId)
    s.packetEnded()
    if (request !== undefined) this.#release(this.#bodyId, request)
  }

  #answer(length: number, type: number): boolean {
    const s = this.#s
    const reader = s.fromServer
    const { bytes, position } = reader
    const end = position + 4 + length
    const id = bytes.readUInt32BE(position + 5)
    const request = this.#requestOf(id, type)
    const body = this.#reader(type, bytes.subarray(position + 9, end))
    let own: Uint8Array | undefined
    let answer: CommandAnswer | undefined
    switch (type) {
      case p.STATUS: {
        const status = this.#status(id, body, request)
        own = status.own
        answer = status.answer
        break
      }
      case p.HANDLE:
        this.#opened(body, request)
        break
      case p.NAME: {
        const denial = this.#names(id, body, request)
        if (denial !== undefined) own = statusPacket(id, p.FX_FAILURE, denial.message)
        break
      }
      default:
        break
    }
    if (request.followUp.isOwn === true) s.phase = 'ready'
    else if (own === undefined) s.toClient.forward(bytes, position, end)
    else s.toClient.send(own)
    reader.position = end
    if (request.commandId !== undefined && type !== p.HANDLE) {
      s.answer(request.commandId, answer ?? completed(p.packetName(type)))
    }
    this.#release(id, request)
    return true
  }

  /** uint32 code, string message, string language tag; old servers leave the texts out (section 7). */
  #status(
    id: number,
    body: SshReader,
    request: Request,
  ): { readonly own: Uint8Array | undefined; readonly answer: CommandAnswer } {
    const code = body.uint32()
    const text = body.remaining === 0 ? undefined : body.string()
    const shown = text === undefined ? undefined : this.#masked(text, request)
    const message = shown === undefined || !isUtf8(shown) ? '' : Buffer.from(shown).toString('utf8')
    const name = p.statusName(code)
    const isFailure = code !== p.FX_OK && code !== p.FX_EOF
    const { handle, isClose } = request.followUp
    if (handle !== undefined && isFailure && (isClose === true || request.type === p.WRITE)) {
      handle.failure ??= { code: name, message: message.slice(0, MAX_ERROR_CHARACTERS) }
    }
    if (handle !== undefined && isClose === true) handle.closedWith = name
    return {
      own: shown === text ? undefined : statusPacket(id, code, message),
      answer: isFailure
        ? {
            outcome: 'failed',
            tags: [name],
            rows: 0,
            bytes: 0,
            errorCode: name,
            errorMessage: message.slice(0, MAX_ERROR_CHARACTERS),
          }
        : completed(name),
    }
  }

  #masked(text: Buffer, request: Request): Uint8Array {
    const obligations = request.followUp.handle?.obligations ?? request.obligations
    const maskers: readonly (TextMasker | undefined)[] = [this.#s.options.textMasker, obligations.masker]
    let masked: Uint8Array = text
    for (const masker of maskers) if (masker !== undefined) masked = masker.maskText(masked)
    return masked
  }

  /** string handle. */
  #opened(body: SshReader, request: Request): void {
    const s = this.#s
    const key = body.string(MAX_HANDLE_BYTES).toString('latin1')
    body.finish()
    const { opens } = request.followUp
    if (opens === undefined || request.commandId === undefined)
      throw s.serverViolation('SSH_FXP_HANDLE was not expected')
    // INVARIANT: a handle's name stands for one permit.
    if (s.handles.has(key)) throw s.serverViolation('the target gave the name of an open handle to another')
    s.handles.set(key, new OpenHandle(request.commandId, key, opens, request.obligations))
  }

  /** uint32 count, then count times: string filename, string longname, ATTRS attrs (section 7). */
  #names(id: number, body: SshReader, request: Request): Denial | undefined {
    const s = this.#s
    const count = body.uint32()
    const { handle, learns } = request.followUp
    if (handle === undefined) {
      if (count !== 1) throw s.serverViolation('SSH_FXP_NAME has not one name, which was asked for')
      const name = body.string()
      if (learns !== undefined && isUtf8(name)) {
        s.paths.learn(name.toString('utf8'), { isWorkingDirectory: learns === 'working-directory' })
      }
      return undefined
    }
    if (hasSuspectName(body, count)) {
      const denial: Denial = { reason: 'unsupported', message: 'the server sent a name that is a path' }
      s.events.push({ type: 'refused', via: p.packetName(p.READDIR), denial })
      return denial
    }
    const wasCapped = handle.capped !== undefined
    const capped = handle.takeRows(count) ?? handle.take(body.position + body.remaining)
    if (capped !== undefined && !wasCapped) {
      s.events.push({ type: 'refused', via: p.packetName(p.READDIR), denial: capped })
    }
    return capped
  }

  #cap(id: number, denial: Denial, { isFirst, type }: { readonly isFirst: boolean; readonly type: number }): void {
    if (isFirst) this.#s.deny(id, p.FX_FAILURE, p.packetName(type), denial)
    else this.#s.reply(id, p.FX_FAILURE, denial.message)
  }

  /** The request that this answers. It stays on the list until its answer has passed, so that none is lost on the way. */
  #requestOf(id: number, type: number): Request {
    const s = this.#s
    const request = s.requests.get(id)
    if (request === undefined) throw s.serverViolation(`${p.packetName(type)} answers no request`)
    if (type !== p.STATUS && type !== request.followUp.expects) {
      throw s.serverViolation(`${p.packetName(type)} does not answer ${p.packetName(request.type)}`)
    }
    return request
  }

  #release(id: number, { followUp: { handle, opens } }: Request): void {
    const s = this.#s
    s.requests.delete(id)
    if (opens !== undefined) s.opening--
    if (handle === undefined) return
    handle.inFlight--
    s.settle(handle)
  }

  #reader(type: number, body: Buffer): SshReader {
    return new SshReader(body, {
      message: p.packetName(type),
      code: 'upstream_protocol_violation',
      maxStringBytes: this.#s.limits.maxPacketBytes,
    })
  }
}

function completed(tag: string): CommandAnswer {
  return { outcome: 'completed', tags: [tag], rows: 0, bytes: 0 }
}

/** Whether a name in a directory would lead a client out of it. Leaves the reader behind the names. */
function hasSuspectName(body: SshReader, count: number): boolean {
  for (let i = 0; i < count; i++) {
    const name = body.string()
    if (name.length === 0 || name.includes(0x2f) || name.includes(0)) return true
    body.string()
    skipAttributes(body)
  }
  body.finish()
  return false
}

/** ATTRS as in section 5, extended ones too. */
function skipAttributes(body: SshReader): void {
  const flags = body.uint32()
  if ((flags & p.ATTR_SIZE) !== 0) body.bytes(8)
  if ((flags & p.ATTR_UIDGID) !== 0) body.bytes(8)
  if ((flags & p.ATTR_PERMISSIONS) !== 0) body.bytes(4)
  if ((flags & p.ATTR_TIMES) !== 0) body.bytes(8)
  if (flags >>> 31 === 0) return
  const count = body.uint32()
  for (let i = 0; i < count; i++) {
    body.string()
    body.string()
  }
}
