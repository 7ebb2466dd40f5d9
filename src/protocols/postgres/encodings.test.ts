import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeText, isAsciiSafeEncoding, normalizeEncoding } from './encodings.js'
import { decodeName, encodeName } from './names.js'

it('finds encodings as the server does', () => {
  for (const name of ['UTF8', 'utf-8', 'Unicode', ' u.t.f_8']) expect(normalizeEncoding(name)).toBe('utf8')
  expect(normalizeEncoding('ISO-8859-1')).toBe('latin1')
  expect(normalizeEncoding('ISO 8859 15')).toBe('latin9')
})

it('SQL-4 trusts no encoding in which an ASCII byte can be half a character, nor an unknown one', () => {
  for (const name of [
    'SJIS',
    'BIG5',
    'GBK',
    'UHC',
    'GB18030',
    'JOHAB',
    'SHIFT_JIS_2004',
    'WIN950',
    'mskanji',
    '',
    'x',
  ]) {
    expect(isAsciiSafeEncoding(name)).toBe(false)
    expect(decodeText(Buffer.from('select 1'), name)).toBeUndefined()
  }
  for (const name of ['UTF8', 'SQL_ASCII', 'LATIN1', 'WIN1252', 'EUC_JP', 'koi8-r']) {
    expect(isAsciiSafeEncoding(name)).toBe(true)
    expect(decodeText(Buffer.from('select 1'), name)).toBe('select 1')
  }
})

it('decodes exactly or not at all', () => {
  const invalid = Buffer.from([0x27, 0xff, 0x27])
  expect(decodeText(invalid, 'UTF8')).toBeUndefined()
  expect(decodeText(invalid, 'SQL_ASCII')).toBeUndefined()
  expect(decodeText(invalid, 'LATIN1')).toBe("'\u00ff'")
  expect(decodeText(invalid, 'WIN1252')).toBeUndefined()
  expect(decodeText(Buffer.from('é'), 'SQL_ASCII')).toBe('é')
  expect(decodeText(Uint8Array.of(0xc3, 0xa9), 'utf8')).toBe('é')
})

it('SQL-27 keeps a byte order mark, as the server does', () => {
  expect(decodeText(Buffer.from('\ufeffselect 1'), 'UTF8')).toBe('\ufeffselect 1')
})

it('gives every name of bytes a string of its own', () => {
  const bytes = fc.uint8Array({ maxLength: 8 }).filter((name) => !name.includes(0))
  fc.assert(
    fc.property(bytes, (name) => {
      const buffer = Buffer.from(name)
      expect(encodeName(decodeName(buffer, 0, buffer.length))).toEqual(buffer)
    }),
  )
})
