import { BodyReader } from './body-reader.js'

/*
 * Decoders for what servers send, by the field lists of
 * https://www.postgresql.org/docs/18/protocol-message-formats.html. Each takes a complete body `[start, end)`, accounts
 * for every byte of it, and throws SallyportError `upstream_protocol_violation` for anything else.
 */

function reader(buffer: Buffer, start: number, end: number, message: string): BodyReader {
  return new BodyReader(buffer, start, end, message, 'upstream_protocol_violation')
}

export interface ColumnDescription {
  readonly name: string
  /** Offsets of the name's bytes, without the NUL. */
  readonly nameStart: number
  readonly nameEnd: number
  /** 0: not a column of a table. */
  readonly tableOid: number
  /** Attribute number. 0: not a column of a table; negative: a system column. */
  readonly columnNumber: number
  readonly typeOid: number
  /** Negative for types of variable length. */
  readonly typeSize: number
  readonly typeModifier: number
  /** 0 text, 1 binary. Answering Describe of a statement always 0: Bind has not chosen yet. */
  readonly format: number
}

/**
 * 'T': Int16 count, and for each column String name, Int32 table OID, Int16 attribute number, Int32 type OID, Int16 type
 * size, Int32 type modifier, Int16 format.
 */
export function decodeRowDescription(buffer: Buffer, start: number, end: number): ColumnDescription[] {
  const body = reader(buffer, start, end, 'RowDescription')
  const count = body.u16()
  if (count * 19 > body.remaining) throw body.problem(`is too short for ${count} columns`)
  const columns: ColumnDescription[] = []
  for (let i = 0; i < count; i++) {
    const nameStart = body.position
    const name = body.string()
    columns.push({
      name,
      nameStart,
      nameEnd: body.position - 1,
      tableOid: body.u32(),
      columnNumber: body.i16(),
      typeOid: body.u32(),
      typeSize: body.i16(),
      typeModifier: body.i32(),
      format: body.format(),
    })
  }
  body.finish()
  return columns
}

/** 't': Int16 count, Int32 type OIDs. */
export function decodeParameterDescription(buffer: Buffer, start: number, end: number): number[] {
  const body = reader(buffer, start, end, 'ParameterDescription')
  const count = body.u16()
  if (count * 4 !== body.remaining) throw body.problem(`does not have the ${count} types it announces`)
  const types: number[] = []
  for (let i = 0; i < count; i++) types.push(body.u32())
  return types
}

/** 'S': String name, String value. */
export function decodeParameterStatus(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly name: string; readonly value: string } {
  const body = reader(buffer, start, end, 'ParameterStatus')
  const name = body.string()
  const value = body.string()
  body.finish()
  return { name, value }
}

export type TransactionStatus = 'I' | 'T' | 'E'

/** 'Z': Byte status: idle, in a transaction, or in a failed one. */
export function decodeReadyForQuery(buffer: Buffer, start: number, end: number): TransactionStatus {
  const body = reader(buffer, start, end, 'ReadyForQuery')
  const status = body.u8()
  body.finish()
  switch (status) {
    case 0x49:
      return 'I'
    case 0x54:
      return 'T'
    case 0x45:
      return 'E'
    default:
      throw body.problem(`has the unknown status 0x${status.toString(16)}`)
  }
}

/** 'K': Int32 process id, Byte[n] secret key: 4 bytes until protocol 3.0, up to 256 from 3.2 on. A view. */
export function decodeBackendKeyData(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly processId: number; readonly secretKey: Buffer } {
  const body = reader(buffer, start, end, 'BackendKeyData')
  const processId = body.i32()
  const secretKey = body.rest()
  if (secretKey.length < 4 || secretKey.length > 256) {
    throw body.problem(`has a secret key of ${secretKey.length} bytes, expected 4 to 256`)
  }
  return { processId, secretKey }
}

/** Texts by field letter, such as `C` for the SQLSTATE and `M` for the message. Has no prototype. */
export interface ErrorFields {
  readonly [letter: string]: string | undefined
}

/** The specification knows 18; the bound keeps a list of nothing but letters from growing with the message. */
const MAX_ERROR_FIELDS = 64

/** 'E' and 'N': fields of Byte letter, String text, then Byte 0. Of a letter that comes twice the first text counts. */
export function decodeErrorFields(buffer: Buffer, start: number, end: number): ErrorFields {
  const body = reader(buffer, start, end, 'ErrorResponse')
  const fields = Object.create(null) as Record<string, string>
  for (let count = 0; ; count++) {
    const letter = body.u8()
    if (letter === 0) break
    if (count === MAX_ERROR_FIELDS) throw body.problem(`has more than ${MAX_ERROR_FIELDS} fields`)
    const text = body.string()
    fields[String.fromCharCode(letter)] ??= text
  }
  body.finish()
  return fields
}

export interface CopyResponse {
  /** 0 text, 1 binary. */
  readonly overallFormat: number
  readonly columnFormats: readonly number[]
}

/** 'G', 'H', 'W': Byte overall format, Int16 count, Int16 formats. */
export function decodeCopyResponse(buffer: Buffer, start: number, end: number): CopyResponse {
  const body = reader(buffer, start, end, 'copy response')
  const overallFormat = body.u8()
  if (overallFormat > 1) throw body.problem(`has the unknown format ${overallFormat}`)
  const columnFormats = body.formats()
  body.finish()
  if (overallFormat === 0 && columnFormats.includes(1)) throw body.problem('has binary columns in a text copy')
  return { overallFormat, columnFormats }
}

/** 'C': String tag. */
export function decodeCommandComplete(buffer: Buffer, start: number, end: number): string {
  const body = reader(buffer, start, end, 'CommandComplete')
  const tag = body.string()
  body.finish()
  return tag
}

export interface NotificationResponse {
  readonly processId: number
  readonly channel: string
  readonly payload: string
}

/** 'A': Int32 process id, String channel, String payload. */
export function decodeNotification(buffer: Buffer, start: number, end: number): NotificationResponse {
  const body = reader(buffer, start, end, 'NotificationResponse')
  const processId = body.i32()
  const channel = body.string()
  const payload = body.string()
  body.finish()
  return { processId, channel, payload }
}

/** What a server asks for or says about who we are. Data are views. */
export type AuthenticationRequest =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl-continue'; readonly data: Buffer }
  | { readonly kind: 'sasl-final'; readonly data: Buffer }
  /** Kerberos V5, GSSAPI, SSPI and what may come. */
  | { readonly kind: 'unsupported'; readonly code: number }

const MAX_SASL_MECHANISMS = 32

/** 'R': Int32 code, then what the code says. */
export function decodeAuthentication(buffer: Buffer, start: number, end: number): AuthenticationRequest {
  const body = reader(buffer, start, end, 'authentication request')
  const request = authenticationRequest(body)
  body.finish()
  return request
}

function authenticationRequest(body: BodyReader): AuthenticationRequest {
  const code = body.i32()
  switch (code) {
    case 0:
      return { kind: 'ok' }
    case 3:
      return { kind: 'cleartext' }
    case 5:
      return { kind: 'md5', salt: body.bytes(4) }
    case 10:
      return { kind: 'sasl', mechanisms: stringList(body) }
    case 11:
      return { kind: 'sasl-continue', data: body.rest() }
    case 12:
      return { kind: 'sasl-final', data: body.rest() }
    default:
      body.rest()
      return { kind: 'unsupported', code }
  }
}

/** Strings up to an empty one. */
function stringList(body: BodyReader): string[] {
  const strings: string[] = []
  for (;;) {
    const text = body.string()
    if (text === '') return strings
    if (strings.length === MAX_SASL_MECHANISMS) throw body.problem(`offers more than ${MAX_SASL_MECHANISMS} mechanisms`)
    strings.push(text)
  }
}

/**
 * 'v': Int32 newest version supported, Int32 count, String names of the options not recognised. The specification speaks
 * of the minor version, servers send the whole one: both are taken.
 */
export function decodeNegotiate(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly minor: number; readonly unrecognised: readonly string[] } {
  const body = reader(buffer, start, end, 'NegotiateProtocolVersion')
  const major = body.u16()
  const minor = body.u16()
  if (major !== 0 && major !== 3) throw body.problem(`asks for protocol version ${major}.${minor}`)
  const count = body.u32()
  if (count > body.remaining) throw body.problem(`is too short for ${count} names`)
  const unrecognised: string[] = []
  for (let i = 0; i < count; i++) unrecognised.push(body.string())
  body.finish()
  return { minor, unrecognised }
}
