import { isUtf8 } from 'node:buffer'
import { BodyReader } from './body-reader.js'

/*
 * Decoders for what clients send, by the field lists of
 * https://www.postgresql.org/docs/18/protocol-message-formats.html. Each takes a complete body `[start, end)`, accounts
 * for every byte of it, and throws SallyportError `protocol_violation` where the server would complain, or guess.
 */

function reader(buffer: Buffer, start: number, end: number, message: string): BodyReader {
  return new BodyReader(buffer, start, end, message, 'protocol_violation')
}

export interface QueryMessage {
  /** Without its NUL. A view. */
  readonly text: Buffer
}

/** 'Q': String text. */
export function decodeQuery(buffer: Buffer, start: number, end: number): QueryMessage {
  const body = reader(buffer, start, end, 'Query')
  const nul = body.skipString()
  body.finish()
  return { text: buffer.subarray(start, nul) }
}

export interface ParseMessage {
  readonly name: string
  /** Without its NUL. A view. */
  readonly text: Buffer
  /** OIDs; 0 where the server infers the type. */
  readonly parameterTypes: readonly number[]
}

/** 'P': String name, String text, Int16 count, Int32 type OIDs. */
export function decodeParse(buffer: Buffer, start: number, end: number): ParseMessage {
  const body = reader(buffer, start, end, 'Parse')
  const name = body.string()
  const textStart = body.position
  const text = buffer.subarray(textStart, body.skipString())
  const count = body.u16()
  if (count * 4 !== body.remaining) throw body.problem(`does not have the ${count} parameter types it announces`)
  const parameterTypes: number[] = []
  for (let i = 0; i < count; i++) parameterTypes.push(body.u32())
  body.finish()
  return { name, text, parameterTypes }
}

export interface BindMessage {
  readonly portal: string
  readonly statement: string
  /** None: all text. One: for all parameters. Else one for each. */
  readonly parameterFormats: readonly number[]
  readonly parameters: readonly ParameterRange[]
  /** None: all text. One: for all columns. Else one for each; how many columns there are only the server knows. */
  readonly resultFormats: readonly number[]
}

/** Offsets `[start, end)` into the buffer, or -1 for NULL. */
export type ParameterRange = readonly [start: number, end: number] | -1

/**
 * 'B': String portal, String statement, Int16 count and Int16 formats, Int16 count and for each parameter Int32 length
 * (-1: NULL) and Byte[n], Int16 count and Int16 result formats.
 */
export function decodeBind(buffer: Buffer, start: number, end: number): BindMessage {
  const body = reader(buffer, start, end, 'Bind')
  const portal = body.string()
  const statement = body.string()
  const parameterFormats = body.formats()
  const count = body.u16()
  if (parameterFormats.length > 1 && parameterFormats.length !== count) {
    throw body.problem(`has ${parameterFormats.length} parameter formats for ${count} parameters`)
  }
  const parameters = values(body, count)
  const resultFormats = body.formats()
  body.finish()
  return { portal, statement, parameterFormats, parameters, resultFormats }
}

function values(body: BodyReader, count: number): ParameterRange[] {
  // Every value has a length: a count that cannot be true is refused before the list is made.
  if (count * 4 > body.remaining) throw body.problem(`is too short for ${count} values`)
  const ranges: ParameterRange[] = []
  for (let i = 0; i < count; i++) {
    const length = body.i32()
    if (length === -1) {
      ranges.push(-1)
      continue
    }
    if (length < 0 || length > body.remaining) throw body.problem(`has a value of invalid length ${length}`)
    const valueStart = body.position
    body.position += length
    ranges.push([valueStart, body.position])
  }
  return ranges
}

export interface TargetMessage {
  readonly kind: 'S' | 'P'
  readonly name: string
}

/** 'D': Byte 'S' or 'P', String name. */
export function decodeDescribe(buffer: Buffer, start: number, end: number): TargetMessage {
  return target(reader(buffer, start, end, 'Describe'))
}

/** 'C': Byte 'S' or 'P', String name. */
export function decodeClose(buffer: Buffer, start: number, end: number): TargetMessage {
  return target(reader(buffer, start, end, 'Close'))
}

function target(body: BodyReader): TargetMessage {
  const kind = body.u8()
  const name = body.string()
  body.finish()
  if (kind === 0x53) return { kind: 'S', name }
  if (kind === 0x50) return { kind: 'P', name }
  throw body.problem(`names neither a statement nor a portal but 0x${kind.toString(16)}`)
}

export interface ExecuteMessage {
  readonly portal: string
  /** 0 or less: all. */
  readonly maxRows: number
}

/** 'E': String portal, Int32 most rows to return. */
export function decodeExecute(buffer: Buffer, start: number, end: number): ExecuteMessage {
  const body = reader(buffer, start, end, 'Execute')
  const portal = body.string()
  const maxRows = body.i32()
  body.finish()
  return { portal, maxRows }
}

export interface FunctionCallMessage {
  readonly oid: number
  readonly parameterFormats: readonly number[]
  readonly parameters: readonly ParameterRange[]
  readonly resultFormat: number
}

/**
 * 'F': Int32 function OID, Int16 count and Int16 formats, Int16 count and for each argument Int32 length (-1: NULL) and
 * Byte[n], Int16 result format.
 */
export function decodeFunctionCall(buffer: Buffer, start: number, end: number): FunctionCallMessage {
  const body = reader(buffer, start, end, 'FunctionCall')
  const oid = body.u32()
  const parameterFormats = body.formats()
  const count = body.u16()
  if (parameterFormats.length > 1 && parameterFormats.length !== count) {
    throw body.problem(`has ${parameterFormats.length} argument formats for ${count} arguments`)
  }
  const parameters = values(body, count)
  const resultFormat = body.format()
  body.finish()
  return { oid, parameterFormats, parameters, resultFormat }
}

/** 'p' after AuthenticationCleartextPassword: String password. Put it into a Secret at once. */
export function decodePassword(buffer: Buffer, start: number, end: number): string {
  const body = reader(buffer, start, end, 'PasswordMessage')
  const nul = body.skipString()
  body.finish()
  const password = buffer.subarray(start, nul)
  if (!isUtf8(password)) throw body.problem('is not valid UTF-8')
  return password.toString('utf8')
}

export interface SaslInitialMessage {
  readonly mechanism: string
  /** A view. Undefined where the client sent none (length -1). */
  readonly data: Buffer | undefined
}

/** 'p' after AuthenticationSASL: String mechanism, Int32 length (-1: none), Byte[n] data. */
export function decodeSaslInitial(buffer: Buffer, start: number, end: number): SaslInitialMessage {
  const body = reader(buffer, start, end, 'SASLInitialResponse')
  const mechanism = body.string()
  const length = body.i32()
  const data = length === -1 ? undefined : body.bytes(length)
  body.finish()
  return { mechanism, data }
}

/** 'f': String reason. */
export function decodeCopyFail(buffer: Buffer, start: number, end: number): { readonly reason: string } {
  const body = reader(buffer, start, end, 'CopyFail')
  const reason = body.string()
  body.finish()
  return { reason }
}
