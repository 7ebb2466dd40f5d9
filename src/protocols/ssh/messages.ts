import { ERROR_CODES, type ErrorCode, SallyportError, SshReader } from '../../core/index.js'
import { SSH_MESSAGE } from './message-types.js'

/** A message of the connection protocol, apart from data, which {@link readData} reads without an object. */
export type SshMessage =
  | { readonly type: 'global-request'; readonly name: string; readonly wantsReply: boolean; readonly data: Buffer }
  | { readonly type: 'request-success'; readonly data: Buffer }
  | { readonly type: 'request-failure' }
  | {
      readonly type: 'open'
      readonly kind: string
      readonly sender: number
      readonly windowBytes: number
      readonly maxPacketBytes: number
      readonly data: Buffer
    }
  | {
      readonly type: 'open-confirmation'
      readonly recipient: number
      readonly sender: number
      readonly windowBytes: number
      readonly maxPacketBytes: number
    }
  | {
      readonly type: 'open-failure'
      readonly recipient: number
      readonly reason: number
      readonly description: Buffer
    }
  | { readonly type: 'window-adjust'; readonly recipient: number; readonly bytes: number }
  | {
      readonly type: 'request'
      readonly recipient: number
      readonly name: string
      readonly wantsReply: boolean
      readonly data: Buffer
    }
  | { readonly type: 'eof' | 'close' | 'success' | 'failure'; readonly recipient: number }

const MAX_DESCRIPTION_BYTES = 4_096
/** No implementation in use asks for so little: OpenSSH for 16 KiB at least. */
const MIN_PACKET_BYTES = 256
/** No type that stands for anything. */
const UNKNOWN_TYPE = 0xffff_ffff

/**
 * Decodes one message. Data inside of requests and opens is a view, decoded by who knows its name.
 *
 * @param code what a malformed message is: `protocol_violation` of a client, `upstream_protocol_violation` of a target
 * @throws SallyportError of that code
 */
export function decodeMessage(payload: Uint8Array, code: ErrorCode): SshMessage {
  const number = payload[0]
  const reader = new SshReader(payload, { message: `message ${number}`, code })
  reader.byte()
  switch (number) {
    // byte type, string name, boolean want-reply, data (RFC 4254 section 4)
    case SSH_MESSAGE.GLOBAL_REQUEST:
      return { type: 'global-request', name: reader.name(), wantsReply: reader.boolean(), data: reader.rest() }
    case SSH_MESSAGE.REQUEST_SUCCESS:
      return { type: 'request-success', data: reader.rest() }
    case SSH_MESSAGE.REQUEST_FAILURE:
      reader.finish()
      return { type: 'request-failure' }
    // byte type, string kind, uint32 sender, uint32 window, uint32 max packet, data (RFC 4254 section 5.1)
    case SSH_MESSAGE.CHANNEL_OPEN:
      return {
        type: 'open',
        kind: reader.name(),
        sender: reader.uint32(),
        windowBytes: reader.uint32(),
        maxPacketBytes: packetSize(reader),
        data: reader.rest(),
      }
    case SSH_MESSAGE.CHANNEL_OPEN_CONFIRMATION:
      return {
        type: 'open-confirmation',
        recipient: reader.uint32(),
        sender: reader.uint32(),
        windowBytes: reader.uint32(),
        maxPacketBytes: packetSize(reader),
      }
    // byte type, uint32 recipient, uint32 reason, string description, string language
    case SSH_MESSAGE.CHANNEL_OPEN_FAILURE: {
      const message: SshMessage = {
        type: 'open-failure',
        recipient: reader.uint32(),
        reason: reader.uint32(),
        description: reader.string(MAX_DESCRIPTION_BYTES),
      }
      reader.string()
      reader.finish()
      return message
    }
    case SSH_MESSAGE.CHANNEL_WINDOW_ADJUST: {
      const message: SshMessage = { type: 'window-adjust', recipient: reader.uint32(), bytes: reader.uint32() }
      reader.finish()
      return message
    }
    // byte type, uint32 recipient, string name, boolean want-reply, data (RFC 4254 section 5.4)
    case SSH_MESSAGE.CHANNEL_REQUEST:
      return {
        type: 'request',
        recipient: reader.uint32(),
        name: reader.name(),
        wantsReply: reader.boolean(),
        data: reader.rest(),
      }
    case SSH_MESSAGE.CHANNEL_EOF:
      return toChannel('eof', reader)
    case SSH_MESSAGE.CHANNEL_CLOSE:
      return toChannel('close', reader)
    case SSH_MESSAGE.CHANNEL_SUCCESS:
      return toChannel('success', reader)
    case SSH_MESSAGE.CHANNEL_FAILURE:
      return toChannel('failure', reader)
    default:
      throw new SallyportError(code, `message ${number} is not part of the connection protocol`)
  }
}

/** A side that takes a byte at a time makes everything sent to it a hundred times as long. */
function packetSize(reader: SshReader): number {
  const bytes = reader.uint32()
  if (bytes < MIN_PACKET_BYTES) throw reader.limit(`asks for packets of ${bytes} bytes, less than ${MIN_PACKET_BYTES}`)
  return bytes
}

function toChannel(type: 'eof' | 'close' | 'success' | 'failure', reader: SshReader): SshMessage {
  const recipient = reader.uint32()
  reader.finish()
  return { type, recipient }
}

/** Channel data without an object per message: see {@link readData}. */
export interface DataMessage {
  recipient: number
  /** 0 for plain data, otherwise the type of extended data. */
  code: number
  bytes: Buffer
}

/**
 * Reads CHANNEL_DATA and CHANNEL_EXTENDED_DATA into `target`. Returns false for any other message.
 *
 * byte type, uint32 recipient, [uint32 data type,] string data (RFC 4254 section 5.2)
 *
 * @throws SallyportError of the code given
 */
export function readData(payload: Buffer, code: ErrorCode, target: DataMessage): boolean {
  const number = payload[0]
  if (number !== SSH_MESSAGE.CHANNEL_DATA && number !== SSH_MESSAGE.CHANNEL_EXTENDED_DATA) return false
  const start = number === SSH_MESSAGE.CHANNEL_DATA ? 9 : 13
  if (payload.length < start || payload.readUInt32BE(start - 4) !== payload.length - start) {
    throw new SallyportError(code, 'channel data is not as long as it says', { blame: ERROR_CODES[code] })
  }
  target.recipient = payload.readUInt32BE(1)
  // There is no type 0: it must not be taken for plain data.
  target.code = start === 9 ? 0 : payload.readUInt32BE(5) || UNKNOWN_TYPE
  target.bytes = payload.subarray(start)
  return true
}

function allocate(number: number, bytes: number): Buffer {
  const message = Buffer.allocUnsafe(1 + bytes)
  message[0] = number
  return message
}

/** EOF, CLOSE, SUCCESS and FAILURE. */
export function channelMessage(number: number, recipient: number): Buffer {
  const message = allocate(number, 4)
  message.writeUInt32BE(recipient, 1)
  return message
}

/**
 * What stands before the bytes of CHANNEL_DATA and CHANNEL_EXTENDED_DATA.
 *
 * @param code 0 for plain data
 */
export function dataHead(recipient: number, code: number, bytes: number): Buffer {
  const length = code === 0 ? 9 : 13
  const head = Buffer.allocUnsafe(length)
  head[0] = code === 0 ? SSH_MESSAGE.CHANNEL_DATA : SSH_MESSAGE.CHANNEL_EXTENDED_DATA
  head.writeUInt32BE(recipient, 1)
  if (code !== 0) head.writeUInt32BE(code, 5)
  head.writeUInt32BE(bytes, length - 4)
  return head
}

export function windowAdjust(recipient: number, bytes: number): Buffer {
  const message = allocate(SSH_MESSAGE.CHANNEL_WINDOW_ADJUST, 8)
  message.writeUInt32BE(recipient, 1)
  message.writeUInt32BE(bytes, 5)
  return message
}

export interface OpenTerms {
  readonly sender: number
  readonly windowBytes: number
  readonly maxPacketBytes: number
}

export function channelOpen(kind: string, terms: OpenTerms, data: Uint8Array): Buffer {
  const message = allocate(SSH_MESSAGE.CHANNEL_OPEN, 4 + kind.length + 12 + data.length)
  let at = writeString(message, 1, kind)
  at = message.writeUInt32BE(terms.sender, at)
  at = message.writeUInt32BE(terms.windowBytes, at)
  at = message.writeUInt32BE(terms.maxPacketBytes, at)
  message.set(data, at)
  return message
}

export function openConfirmation(recipient: number, terms: OpenTerms): Buffer {
  const message = allocate(SSH_MESSAGE.CHANNEL_OPEN_CONFIRMATION, 16)
  let at = message.writeUInt32BE(recipient, 1)
  at = message.writeUInt32BE(terms.sender, at)
  at = message.writeUInt32BE(terms.windowBytes, at)
  message.writeUInt32BE(terms.maxPacketBytes, at)
  return message
}

export function openFailure(recipient: number, reason: number, description: string | Uint8Array): Buffer {
  const text = typeof description === 'string' ? Buffer.from(description) : description
  const message = allocate(SSH_MESSAGE.CHANNEL_OPEN_FAILURE, 8 + 4 + text.length + 4)
  let at = message.writeUInt32BE(recipient, 1)
  at = message.writeUInt32BE(reason, at)
  at = message.writeUInt32BE(text.length, at)
  message.set(text, at)
  message.writeUInt32BE(0, at + text.length)
  return message
}

export function channelRequest(
  recipient: number,
  name: string,
  data: Uint8Array,
  options: { readonly wantsReply: boolean },
): Buffer {
  const message = allocate(SSH_MESSAGE.CHANNEL_REQUEST, 4 + 4 + name.length + 1 + data.length)
  let at = message.writeUInt32BE(recipient, 1)
  at = writeString(message, at, name)
  message[at++] = options.wantsReply ? 1 : 0
  message.set(data, at)
  return message
}

export function globalRequest(name: string, data: Uint8Array, options: { readonly wantsReply: boolean }): Buffer {
  const message = allocate(SSH_MESSAGE.GLOBAL_REQUEST, 4 + name.length + 1 + data.length)
  let at = writeString(message, 1, name)
  message[at++] = options.wantsReply ? 1 : 0
  message.set(data, at)
  return message
}

export function requestReply(isSuccess: boolean, data: Uint8Array = EMPTY): Buffer {
  if (!isSuccess) return Buffer.of(SSH_MESSAGE.REQUEST_FAILURE)
  const message = allocate(SSH_MESSAGE.REQUEST_SUCCESS, data.length)
  message.set(data, 1)
  return message
}

/** The data of `exit-status` (RFC 4254 section 6.10). */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const EMPTY = Buffer.alloc(0)

/** Names are US-ASCII, as their decoder made sure. */
function writeString(target: Buffer, at: number, text: string): number {
  const start = target.writeUInt32BE(text.length, at)
  return start + target.write(text, start, 'latin1')
}
