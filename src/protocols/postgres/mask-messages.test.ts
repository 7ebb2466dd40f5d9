import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter, SallyportError, type TextMasker } from '../../core/index.js'
import { decodeErrorFields, decodeNotification, decodeParameterStatus, decodeRowDescription } from './backend.js'
import { maskErrorOrNotice, maskNotification, maskParameterStatus, maskRowDescriptionNames } from './mask-messages.js'
import { errorResponse, noticeResponse, parameterStatus } from './messages.js'

const SSN = '078-05-1120'

const masker: TextMasker = {
  maskText(text) {
    const latin1 = Buffer.from(text).toString('latin1')
    return latin1.includes(SSN) ? Buffer.from(latin1.replaceAll(SSN, 'XXX'), 'latin1') : text
  },
}

type Masking = (buffer: Buffer, start: number, end: number, masker: TextMasker) => Buffer | undefined

function message(type: string, write: (writer: ByteWriter) => unknown): Buffer {
  const writer = new ByteWriter().u8(type.charCodeAt(0)).i32(0)
  write(writer)
  const bytes = writer.take()
  bytes.writeInt32BE(bytes.length - 1, 1)
  return bytes
}

/** Masks a message as it lies between others. */
function apply(mask: Masking, bytes: Buffer): Buffer | undefined {
  const buffer = Buffer.concat([Buffer.from('before\0'), bytes, Buffer.from(`${SSN}\0\0`)])
  return mask(buffer, 7 + 5, 7 + bytes.length, masker)
}

describe('masking of messages', () => {
  it('MASK-1 reaches every text of an error and leaves the rest as it is', () => {
    const error = message('E', (w) => {
      for (const letter of 'SVCMDHPpqWstcdnFLR') w.u8(letter.charCodeAt(0)).cstring(`${letter}=${SSN}`)
      w.u8(0)
    })
    const masked = apply(maskErrorOrNotice, error) as Buffer
    expect(masked.readInt32BE(1)).toBe(masked.length - 1)
    const fields = decodeErrorFields(masked, 5, masked.length)
    for (const letter of 'MDHqWstcdn') expect(fields[letter]).toBe(`${letter}=XXX`)
    for (const letter of 'SVCPpFLR') expect(fields[letter]).toBe(`${letter}=${SSN}`)
  })

  it('MASK-1 keeps the type of a notice', () => {
    const notice = noticeResponse({ severity: 'NOTICE', code: '00000', message: `saw ${SSN}` })
    expect(apply(maskErrorOrNotice, notice)).toEqual(
      noticeResponse({ severity: 'NOTICE', code: '00000', message: 'saw XXX' }),
    )
  })

  it('MASK-1 reaches notifications, parameter values and column names', () => {
    const notification = message('A', (w) => w.i32(7).cstring(`to ${SSN}`).cstring(`${SSN}, ${SSN}`))
    const told = apply(maskNotification, notification) as Buffer
    expect(decodeNotification(told, 5, told.length)).toEqual({ processId: 7, channel: 'to XXX', payload: 'XXX, XXX' })

    const status = apply(maskParameterStatus, parameterStatus('application_name', SSN)) as Buffer
    expect(decodeParameterStatus(status, 5, status.length)).toEqual({ name: 'application_name', value: 'XXX' })

    const description = message('T', (w) => {
      w.i16(3)
      for (const name of ['id', SSN, 'last']) w.cstring(name).u32(1).i16(2).u32(25).i16(-1).i32(-1).i16(0)
    })
    const named = apply(maskRowDescriptionNames, description) as Buffer
    expect(decodeRowDescription(named, 5, named.length).map((column) => column.name)).toEqual(['id', 'XXX', 'last'])
    expect(named.readInt32BE(1)).toBe(named.length - 1)
  })

  it('answers nothing when nothing was found', () => {
    expect(apply(maskErrorOrNotice, errorResponse({ severity: 'ERROR', code: '1', message: 'x' }))).toBeUndefined()
    expect(apply(maskParameterStatus, parameterStatus('TimeZone', 'UTC'))).toBeUndefined()
  })

  it('PG-12 takes garbage or throws a SallyportError, nothing else', () => {
    const masks: readonly (readonly [string, Masking])[] = [
      ['E', maskErrorOrNotice],
      ['A', maskNotification],
      ['S', maskParameterStatus],
      ['T', maskRowDescriptionNames],
    ]
    const text = fc.constantFrom(SSN, '\0', 'M', '\0\0', '\0\x01').map((part) => Buffer.from(part))
    const parts = fc.array(fc.oneof(text, fc.uint8Array({ maxLength: 8 })), { maxLength: 12 })
    fc.assert(
      fc.property(fc.constantFrom(...masks), parts, ([type, mask], some) => {
        try {
          apply(
            mask,
            message(type, (w) => some.forEach((part) => void w.append(part))),
          )
        } catch (error) {
          expect(error).toBeInstanceOf(SallyportError)
          expect(error).toHaveProperty('code', 'upstream_protocol_violation')
        }
      }),
    )
  })

  it('does not let a masker write a NUL into a text', () => {
    const liar: TextMasker = { maskText: () => Buffer.from('a\0b') }
    const status = parameterStatus('a', 'b')
    expect(() => maskParameterStatus(status, 5, status.length, liar)).toThrow('NUL')
  })
})
