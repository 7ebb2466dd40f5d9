import fc from 'fast-check'
import { serialize } from 'pg-protocol'
import { describe, expect, it } from 'vitest'
import { SallyportError } from '../../core/index.js'
import {
  decodeBind,
  decodeClose,
  decodeCopyFail,
  decodeDescribe,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodePassword,
  decodeQuery,
  decodeSaslInitial,
} from './frontend.js'

type Decoder = (buffer: Buffer, start: number, end: number) => unknown

/** Decodes a whole message as it lies between others, so that a decoder that looks beyond its body is found out. */
function decode<T>(decoder: (buffer: Buffer, start: number, end: number) => T, message: Buffer): T {
  const buffer = Buffer.concat([Buffer.from('before\0'), message, Buffer.from('behind\0\0\0\0')])
  return decoder(buffer, 7 + 5, 7 + message.length)
}

function body(...parts: (string | number[])[]): Buffer {
  return Buffer.concat([Buffer.alloc(5), ...parts.map((part) => Buffer.from(part as string, 'latin1'))])
}

const bind = serialize.bind({ portal: 'p', statement: 's', values: ['a', null, Buffer.from([0, 1])] })
const functionCall = body([0, 0, 4, 210, 0, 1, 0, 1, 0, 2, 0, 0, 0, 1, 65, 255, 255, 255, 255, 0, 0])

const VALID: readonly (readonly [string, Decoder, Buffer])[] = [
  ['Query', decodeQuery, serialize.query('select 1')],
  ['Parse', decodeParse, serialize.parse({ name: 's', text: 'select $1', types: [23, 4294967295] })],
  ['Bind', decodeBind, bind],
  ['Describe', decodeDescribe, serialize.describe({ type: 'S', name: 's' })],
  ['Close', decodeClose, serialize.close({ type: 'P', name: 'p' })],
  ['Execute', decodeExecute, serialize.execute({ portal: 'p', rows: 7 })],
  ['FunctionCall', decodeFunctionCall, functionCall],
  ['PasswordMessage', decodePassword, serialize.password('geheim')],
  ['SASLInitialResponse', decodeSaslInitial, serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,')],
  ['CopyFail', decodeCopyFail, serialize.copyFail('enough')],
]

function throwsViolation(action: () => unknown): void {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(SallyportError)
    expect(error).toHaveProperty('code', 'protocol_violation')
    return
  }
  expect.unreachable('nothing was thrown')
}

describe('client messages', () => {
  it('are read as pg-protocol writes them', () => {
    expect(decode(decodeQuery, serialize.query('sélect 1')).text.toString()).toBe('sélect 1')
    const parsed = decode(decodeParse, serialize.parse({ name: 's', text: 'select $1', types: [23, 4294967295] }))
    expect({ ...parsed, text: parsed.text.toString() }).toEqual({
      name: 's',
      text: 'select $1',
      parameterTypes: [23, 4294967295],
    })
    const offset = 12
    expect(decode(decodeBind, bind)).toEqual({
      portal: 'p',
      statement: 's',
      parameterFormats: [0, 0, 1],
      parameters: [[offset + 18, offset + 19], -1, [offset + 27, offset + 29]],
      resultFormats: [0],
    })
    expect(decode(decodeDescribe, serialize.describe({ type: 'S', name: 's' }))).toEqual({ kind: 'S', name: 's' })
    expect(decode(decodeClose, serialize.close({ type: 'P', name: 'p' }))).toEqual({ kind: 'P', name: 'p' })
    expect(decode(decodeExecute, serialize.execute({ portal: 'p', rows: 7 }))).toEqual({ portal: 'p', maxRows: 7 })
    expect(decode(decodeFunctionCall, functionCall)).toEqual({
      oid: 1234,
      parameterFormats: [1],
      parameters: [[offset + 14, offset + 15], -1],
      resultFormat: 0,
    })
    expect(decode(decodePassword, serialize.password('geheim'))).toBe('geheim')
    const initial = decode(decodeSaslInitial, serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,'))
    expect(initial).toEqual({ mechanism: 'SCRAM-SHA-256', data: Buffer.from('n,,') })
    expect(decode(decodeSaslInitial, body('SCRAM-SHA-256\0', [255, 255, 255, 255]))).toHaveProperty('data', undefined)
    expect(decode(decodeCopyFail, serialize.copyFail('enough'))).toEqual({ reason: 'enough' })
  })

  it.each(VALID)('PG-13 %s is refused when cut anywhere or followed by anything', (_, decoder, message) => {
    decode(decoder, message)
    for (let length = 5; length < message.length; length++) {
      throwsViolation(() => decode(decoder, message.subarray(0, length)))
    }
    throwsViolation(() => decode(decoder, Buffer.concat([message, Buffer.alloc(1)])))
    throwsViolation(() => decode(decoder, Buffer.concat([message, message])))
  })

  it.each(VALID)('PG-12 %s as garbage decodes or is refused, nothing else', (_, decoder, message) => {
    const mutated = fc
      .tuple(fc.nat(message.length - 6), fc.nat(255))
      .map(([at, byte]) => Buffer.from(message).fill(byte, 5 + at, 6 + at))
    const garbage = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.concat([Buffer.alloc(5), bytes]))
    fc.assert(
      fc.property(fc.oneof(mutated, garbage), (bytes) => {
        try {
          decode(decoder, bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(SallyportError)
          expect(error).toHaveProperty('code', 'protocol_violation')
        }
      }),
    )
  })

  it.each([
    ['a NUL in a query', decodeQuery, body('select 1\0; drop table t\0')],
    ['a NUL in a statement', decodeParse, body('s\0select 1\0; drop table t\0', [0, 0])],
    ['more types than announced', decodeParse, body('s\0select 1\0', [0, 1, 0, 0, 0, 23, 0, 0, 0, 23])],
    ['more types announced than sent', decodeParse, body('s\0select 1\0', [255, 255, 0, 0, 0, 23])],
    ['two formats for one parameter', decodeBind, body('\0\0', [0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])],
    ['an unknown format', decodeBind, body('\0\0', [0, 1, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0])],
    ['a value of length -2', decodeBind, body('\0\0', [0, 0, 0, 1, 255, 255, 255, 254, 0, 0])],
    ['a value of 2 GiB', decodeBind, body('\0\0', [0, 0, 0, 1, 127, 255, 255, 255, 65, 0, 0])],
    ['65535 values in no bytes', decodeBind, body('\0\0', [0, 0, 255, 255])],
    ['65535 result formats in no bytes', decodeBind, body('\0\0', [0, 0, 0, 0, 255, 255])],
    ['a target that is neither', decodeDescribe, body('X\0')],
    ['a mechanism with data of length -2', decodeSaslInitial, body('SCRAM-SHA-256\0', [255, 255, 255, 254])],
  ] as const)('PG-12 PG-13 %s is refused', (_, decoder, message) => {
    throwsViolation(() => decode(decoder as Decoder, message))
  })

  it('PG-6 keep names apart that are not valid UTF-8', () => {
    const names = [body('S\xff\0'), body('S\xfe\0'), body('S\ufffd\0'), body('S\xc3\xbf\0')]
    expect(new Set(names.map((message) => decode(decodeDescribe, message).name)).size).toBe(4)
  })
})
