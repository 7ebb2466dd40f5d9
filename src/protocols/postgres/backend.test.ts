import fc from 'fast-check'
import { Parser } from 'pg-protocol/dist/parser.js'
import { describe, expect, it } from 'vitest'
import { ByteWriter, SallyportError } from '../../core/index.js'
import {
  decodeAuthentication,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorFields,
  decodeNegotiate,
  decodeNotification,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
} from './backend.js'
import * as messages from './messages.js'

type Decoder = (buffer: Buffer, start: number, end: number) => unknown

function decode<T>(decoder: (buffer: Buffer, start: number, end: number) => T, message: Buffer): T {
  const buffer = Buffer.concat([Buffer.from('before\0'), message, Buffer.from('behind\0\0\0\0')])
  return decoder(buffer, 7 + 5, 7 + message.length)
}

function message(type: string, write: (writer: ByteWriter) => unknown): Buffer {
  const writer = new ByteWriter().u8(type.charCodeAt(0)).i32(0)
  write(writer)
  const bytes = writer.take()
  bytes.writeInt32BE(bytes.length - 1, 1)
  return bytes
}

const rowDescription = message('T', (w) => {
  w.i16(2).cstring('id').u32(16_384).i16(1).u32(23).i16(4).i32(-1).i16(0)
  w.cstring('näme').u32(4_000_000_000).i16(-6).u32(25).i16(-1).i32(12).i16(1)
})
const parameterDescription = message('t', (w) => w.i16(2).u32(23).u32(4_000_000_000))
const copyOut = message('H', (w) => w.u8(1).i16(2).i16(1).i16(1))
const commandComplete = message('C', (w) => w.cstring('SELECT 1'))
const notification = message('A', (w) => w.i32(9).cstring('channel').cstring('payload'))
const md5 = message('R', (w) => w.i32(5).append(Buffer.from([1, 2, 3, 0])))
const error = messages.errorResponse({ severity: 'ERROR', code: '42501', message: 'no', detail: 'd', hint: 'h' })
const key = messages.backendKeyData(5, Buffer.from([0, 0, 0, 6]))
const status = messages.parameterStatus('TimeZone', 'UTC')
const ready = messages.readyForQuery('T')
const sasl = messages.authenticationSasl(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'])
const negotiate = messages.negotiateProtocolVersion(0, ['_pq_.x'])

const VALID: readonly (readonly [string, Decoder, Buffer])[] = [
  ['RowDescription', decodeRowDescription, rowDescription],
  ['ParameterDescription', decodeParameterDescription, parameterDescription],
  ['ParameterStatus', decodeParameterStatus, status],
  ['ReadyForQuery', decodeReadyForQuery, ready],
  ['ErrorResponse', decodeErrorFields, error],
  ['CopyOutResponse', decodeCopyResponse, copyOut],
  ['CommandComplete', decodeCommandComplete, commandComplete],
  ['NotificationResponse', decodeNotification, notification],
  ['AuthenticationMD5Password', decodeAuthentication, md5],
  ['AuthenticationSASL', decodeAuthentication, sasl],
  ['NegotiateProtocolVersion', decodeNegotiate, negotiate],
]

function throwsViolation(action: () => unknown): void {
  try {
    action()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(SallyportError)
    expect(thrown).toHaveProperty('code', 'upstream_protocol_violation')
    return
  }
  expect.unreachable('nothing was thrown')
}

/** What pg-protocol makes of the same bytes. */
function oracle(bytes: Buffer): Record<string, unknown> {
  const seen: object[] = []
  new Parser().parse(bytes, (parsed) => seen.push(parsed))
  return { ...seen[0] }
}

describe('server messages', () => {
  it('are read as they are', () => {
    expect(decode(decodeRowDescription, rowDescription)).toEqual([
      {
        name: 'id',
        nameStart: 14,
        nameEnd: 16,
        tableOid: 16_384,
        columnNumber: 1,
        typeOid: 23,
        typeSize: 4,
        typeModifier: -1,
        format: 0,
      },
      {
        name: 'näme',
        nameStart: 35,
        nameEnd: 40,
        tableOid: 4_000_000_000,
        columnNumber: -6,
        typeOid: 25,
        typeSize: -1,
        typeModifier: 12,
        format: 1,
      },
    ])
    expect(decode(decodeParameterDescription, parameterDescription)).toEqual([23, 4_000_000_000])
    expect(decode(decodeParameterStatus, status)).toEqual({ name: 'TimeZone', value: 'UTC' })
    expect(decode(decodeReadyForQuery, ready)).toBe('T')
    expect(decode(decodeBackendKeyData, key)).toEqual({ processId: 5, secretKey: Buffer.from([0, 0, 0, 6]) })
    expect({ ...decode(decodeErrorFields, error) }).toEqual({
      S: 'ERROR',
      V: 'ERROR',
      C: '42501',
      M: 'no',
      D: 'd',
      H: 'h',
    })
    expect(decode(decodeCopyResponse, copyOut)).toEqual({ overallFormat: 1, columnFormats: [1, 1] })
    expect(decode(decodeCommandComplete, commandComplete)).toBe('SELECT 1')
    expect(decode(decodeNotification, notification)).toEqual({ processId: 9, channel: 'channel', payload: 'payload' })
    expect(decode(decodeAuthentication, md5)).toEqual({ kind: 'md5', salt: Buffer.from([1, 2, 3, 0]) })
    expect(decode(decodeAuthentication, sasl)).toEqual({
      kind: 'sasl',
      mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
    })
    expect(decode(decodeAuthentication, messages.authenticationOk())).toEqual({ kind: 'ok' })
    expect(decode(decodeAuthentication, messages.authenticationCleartext())).toEqual({ kind: 'cleartext' })
    expect(decode(decodeAuthentication, messages.authenticationSaslFinal(Buffer.from('v=')))).toEqual({
      kind: 'sasl-final',
      data: Buffer.from('v='),
    })
    expect(
      decode(
        decodeAuthentication,
        message('R', (w) => w.i32(7)),
      ),
    ).toEqual({ kind: 'unsupported', code: 7 })
    expect(decode(decodeNegotiate, negotiate)).toEqual({ minor: 0, unrecognised: ['_pq_.x'] })
  })

  it('are read as pg-protocol reads them', () => {
    const described = oracle(rowDescription)['fields'] as { name: string; tableID: number; dataTypeID: number }[]
    const own = decode(decodeRowDescription, rowDescription)
    expect(described.map((field) => [field.name, field.tableID, field.dataTypeID])).toEqual(
      own.map((column) => [column.name, column.tableOid, column.typeOid]),
    )
    expect(oracle(notification)).toMatchObject({ processId: 9, channel: 'channel', payload: 'payload' })
    expect(oracle(commandComplete)).toMatchObject({ text: 'SELECT 1' })
  })

  it.each(VALID)('PG-12 %s is refused when cut anywhere or followed by anything', (_, decoder, bytes) => {
    decode(decoder, bytes)
    for (let length = 5; length < bytes.length; length++) {
      throwsViolation(() => decode(decoder, bytes.subarray(0, length)))
    }
    throwsViolation(() => decode(decoder, Buffer.concat([bytes, Buffer.alloc(1)])))
  })

  it.each([...VALID, ['BackendKeyData', decodeBackendKeyData, key] as const])(
    'PG-12 %s as garbage decodes or is refused, nothing else',
    (_, decoder, bytes) => {
      const mutated = fc
        .tuple(fc.nat(bytes.length - 6), fc.nat(255))
        .map(([at, byte]) => Buffer.from(bytes).fill(byte, 5 + at, 6 + at))
      const garbage = fc.uint8Array({ maxLength: 64 }).map((some) => Buffer.concat([Buffer.alloc(5), some]))
      fc.assert(
        fc.property(fc.oneof(mutated, garbage), (some) => {
          try {
            decode(decoder, some)
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(SallyportError)
            expect(thrown).toHaveProperty('code', 'upstream_protocol_violation')
          }
        }),
      )
    },
  )

  it.each([
    [
      'an ErrorResponse of nothing but letters',
      decodeErrorFields,
      message('E', (w) => w.append(Buffer.from('M\0'.repeat(65))).u8(0)),
    ],
    ['a key of three bytes', decodeBackendKeyData, message('K', (w) => w.i32(1).append(Buffer.alloc(3)))],
    ['a key of 257 bytes', decodeBackendKeyData, message('K', (w) => w.i32(1).append(Buffer.alloc(257)))],
    ['an unknown transaction status', decodeReadyForQuery, message('Z', (w) => w.u8(0x58))],
    ['an unknown column format', decodeCopyResponse, message('H', (w) => w.u8(0).i16(1).i16(2))],
    ['binary columns in a text copy', decodeCopyResponse, message('H', (w) => w.u8(0).i16(1).i16(1))],
    ['65535 columns in no bytes', decodeRowDescription, message('T', (w) => w.i16(-1))],
    ['a downgrade to protocol 2', decodeNegotiate, message('v', (w) => w.i16(2).i16(0).i32(0))],
    ['a NUL in a tag', decodeCommandComplete, message('C', (w) => w.cstring('SELECT').cstring(' 1'))],
  ] as const)('PG-12 %s is refused', (_, decoder, bytes) => {
    throwsViolation(() => decode(decoder as Decoder, bytes))
  })
})
