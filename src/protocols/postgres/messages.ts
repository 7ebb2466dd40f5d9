import { ByteWriter, SallyportError } from '../../core/index.js'
import { Backend, Frontend } from './message-types.js'

/** Texts of an ErrorResponse or NoticeResponse. A NUL in them is replaced: an error about an error helps nobody. */
export interface NoticeFields {
  /** `ERROR`, `FATAL`, `NOTICE` and the like. */
  readonly severity: string
  /** SQLSTATE: five characters. */
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
}

const PROTOCOL_MAJOR = 3
const CANCEL_REQUEST_CODE = 80_877_102
const SSL_REQUEST_CODE = 80_877_103
const MAX_STARTUP_BYTES = 10_000
const MAX_MESSAGE_BYTES = 0x7fff_ffff

/** Int32 length, Int32 version, then pairs of String name, String value, then Byte 0. */
export function startupMessage(minor: 0 | 2, parameters: Iterable<readonly [string, string]>): Buffer {
  const packet = message(undefined, (w) => {
    w.i16(PROTOCOL_MAJOR).i16(minor)
    for (const [name, value] of parameters) {
      // An empty name would end the list and let its value be read as something else.
      if (name === '') throw new SallyportError('internal', 'a startup parameter needs a name')
      w.cstring(name).cstring(value)
    }
    w.u8(0)
  })
  if (packet.length > MAX_STARTUP_BYTES) {
    throw new SallyportError('internal', `startup message of ${packet.length} bytes, at most ${MAX_STARTUP_BYTES} fit`)
  }
  return packet
}

/** Int32 length, Int32 code. */
export function sslRequest(): Buffer {
  return message(undefined, (w) => w.i32(SSL_REQUEST_CODE))
}

/** Int32 length, Int32 code, Int32 process id, Byte[n] secret key. */
export function cancelRequest(processId: number, secretKey: Uint8Array): Buffer {
  checkSecretKey(secretKey)
  return message(undefined, (w) => w.i32(CANCEL_REQUEST_CODE).i32(processId).append(secretKey))
}

/** 'E': fields of Byte letter, String text, then Byte 0. */
export function errorResponse(fields: NoticeFields): Buffer {
  return notice(Backend.ErrorResponse, fields)
}

/** 'N': laid out as an ErrorResponse. */
export function noticeResponse(fields: NoticeFields): Buffer {
  return notice(Backend.NoticeResponse, fields)
}

function notice(type: number, fields: NoticeFields): Buffer {
  return message(type, (w) => {
    const field = (letter: number, text: string | undefined): void => {
      if (text !== undefined) w.u8(letter).cstring(text.replaceAll('\0', '\ufffd'))
    }
    field(0x53, fields.severity) // S: may be translated by a server, hence also
    field(0x56, fields.severity) // V: never translated
    field(0x43, fields.code) // C
    field(0x4d, fields.message) // M
    field(0x44, fields.detail) // D
    field(0x48, fields.hint) // H
    w.u8(0)
  })
}

/** 'Z': Byte status. */
export function readyForQuery(status: 'I' | 'T' | 'E'): Buffer {
  return message(Backend.ReadyForQuery, (w) => w.u8(status.charCodeAt(0)))
}

/** 'R': Int32 0. */
export function authenticationOk(): Buffer {
  return message(Backend.Authentication, (w) => w.i32(0))
}

/** 'R': Int32 3. */
export function authenticationCleartext(): Buffer {
  return message(Backend.Authentication, (w) => w.i32(3))
}

/** 'R': Int32 10, String names, Byte 0. */
export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  return message(Backend.Authentication, (w) => {
    w.i32(10)
    for (const mechanism of mechanisms) w.cstring(mechanism)
    w.u8(0)
  })
}

/** 'R': Int32 11, Byte[n] data. */
export function authenticationSaslContinue(data: Uint8Array): Buffer {
  return message(Backend.Authentication, (w) => w.i32(11).append(data))
}

/** 'R': Int32 12, Byte[n] data. */
export function authenticationSaslFinal(data: Uint8Array): Buffer {
  return message(Backend.Authentication, (w) => w.i32(12).append(data))
}

/** 'S': String name, String value. */
export function parameterStatus(name: string, value: string): Buffer {
  return message(Backend.ParameterStatus, (w) => w.cstring(name).cstring(value))
}

/** 'K': Int32 process id, Byte[n] secret key. */
export function backendKeyData(processId: number, secretKey: Uint8Array): Buffer {
  checkSecretKey(secretKey)
  return message(Backend.BackendKeyData, (w) => w.i32(processId).append(secretKey))
}

/**
 * 'v': Int32 newest version supported, Int32 count, String names. The specification speaks of the minor version; servers
 * send, and clients expect, the whole one.
 */
export function negotiateProtocolVersion(minor: number, unrecognised: readonly string[]): Buffer {
  return message(Backend.NegotiateProtocolVersion, (w) => {
    w.i16(PROTOCOL_MAJOR).i16(minor).i32(unrecognised.length)
    for (const name of unrecognised) w.cstring(name)
  })
}

/** 'p': String password. */
export function passwordMessage(text: string): Buffer {
  if (text.includes('\0')) throw new SallyportError('invalid_option', 'a password cannot contain a NUL')
  return message(Frontend.Password, (w) => w.cstring(text))
}

/** 'p': String mechanism, Int32 length, Byte[n] data. */
export function saslInitialResponse(mechanism: string, data: Uint8Array): Buffer {
  return message(Frontend.Password, (w) => w.cstring(mechanism).i32(data.length).append(data))
}

/** 'p': Byte[n] data. */
export function saslResponse(data: Uint8Array): Buffer {
  return message(Frontend.Password, (w) => w.append(data))
}

/** 'Q': String text. */
export function query(text: string): Buffer {
  return message(Frontend.Query, (w) => w.cstring(text))
}

/** 'P': String name, String text, Int16 number of parameter types: none, the server infers them. */
export function parse(name: string, text: string): Buffer {
  return message(Frontend.Parse, (w) => w.cstring(name).cstring(text).i16(0))
}

/** 'D': Byte 'S' or 'P', String name. */
export function describe(kind: 'S' | 'P', name: string): Buffer {
  return message(Frontend.Describe, (w) => w.u8(kind.charCodeAt(0)).cstring(name))
}

/** 'C': Byte 'S' or 'P', String name. */
export function closeMessage(kind: 'S' | 'P', name: string): Buffer {
  return message(Frontend.Close, (w) => w.u8(kind.charCodeAt(0)).cstring(name))
}

/** 'f': String reason. */
export function copyFail(reason: string): Buffer {
  return message(Frontend.CopyFail, (w) => w.cstring(reason))
}

/** 'S': nothing. */
export function sync(): Buffer {
  return message(Frontend.Sync, () => undefined)
}

/** 'H': nothing. */
export function flush(): Buffer {
  return message(Frontend.Flush, () => undefined)
}

/** 'X': nothing. */
export function terminate(): Buffer {
  return message(Frontend.Terminate, () => undefined)
}

/** Writes a message around its body; without a type byte for the packets that open a connection. */
function message(type: number | undefined, body: (writer: ByteWriter) => unknown): Buffer {
  const writer = new ByteWriter(64)
  if (type !== undefined) writer.u8(type)
  const lengthAt = writer.length
  writer.i32(0)
  body(writer)
  const length = writer.length - lengthAt
  if (length > MAX_MESSAGE_BYTES) throw new SallyportError('internal', `message of ${length} bytes does not fit`)
  const bytes = writer.view()
  bytes.writeInt32BE(length, lengthAt)
  return bytes
}

function checkSecretKey(secretKey: Uint8Array): void {
  if (secretKey.length >= 4 && secretKey.length <= 256) return
  throw new SallyportError('internal', `secret key of ${secretKey.length} bytes, expected 4 to 256`)
}
