import { isAscii, isUtf8 } from 'node:buffer'

/** Encodings in which every byte below 0x80 is that ASCII character, wherever it stands. Keys as {@link normalizeEncoding} makes them. */
const ASCII_SAFE: ReadonlySet<string> = new Set([
  'sqlascii',
  'utf8',
  'muleinternal',
  ...['eucjp', 'euccn', 'euckr', 'euctw', 'eucjis2004'],
  ...['latin1', 'latin2', 'latin3', 'latin4', 'latin5', 'latin6', 'latin7', 'latin8', 'latin9', 'latin10'],
  ...['iso88595', 'iso88596', 'iso88597', 'iso88598'],
  ...['win866', 'win874', 'win1250', 'win1251', 'win1252', 'win1253', 'win1254', 'win1255', 'win1256', 'win1257'],
  ...['win1258', 'koi8r', 'koi8u'],
])

const ALIASES: ReadonlyMap<string, string> = new Map([
  ['unicode', 'utf8'],
  ['iso88591', 'latin1'],
  ['iso88592', 'latin2'],
  ['iso88593', 'latin3'],
  ['iso88594', 'latin4'],
  ['iso88599', 'latin5'],
  ['iso885910', 'latin6'],
  ['iso885913', 'latin7'],
  ['iso885914', 'latin8'],
  ['iso885915', 'latin9'],
  ['iso885916', 'latin10'],
  ['koi8', 'koi8r'],
  ['abc', 'win1258'],
  ['tcvn', 'win1258'],
  ['tcvn5712', 'win1258'],
  ['vscii', 'win1258'],
  ['alt', 'win866'],
  ['win', 'win1251'],
  ['windows866', 'win866'],
  ['windows874', 'win874'],
  ['windows1250', 'win1250'],
  ['windows1251', 'win1251'],
  ['windows1252', 'win1252'],
  ['windows1253', 'win1253'],
  ['windows1254', 'win1254'],
  ['windows1255', 'win1255'],
  ['windows1256', 'win1256'],
  ['windows1257', 'win1257'],
  ['windows1258', 'win1258'],
])

/** The name without case and punctuation and with aliases resolved, the way the server looks encodings up: `UTF-8` and `Unicode` are `utf8`. */
export function normalizeEncoding(name: string): string {
  const folded = name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
  return ALIASES.get(folded) ?? folded
}

/**
 * Whether a text in this client encoding can be lexed byte by byte. False for SJIS, BIG5, GBK, UHC, GB18030,
 * JOHAB and SHIFT_JIS_2004, where a backslash or quote may be half of a character, and for unknown names.
 */
export function isAsciiSafeEncoding(name: string): boolean {
  return ASCII_SAFE.has(normalizeEncoding(name))
}

/**
 * The text exactly as the server will read it, or undefined where that is not certain: invalid UTF-8, and
 * anything but plain ASCII in an encoding other than UTF8 and LATIN1. A byte order mark is kept: the server keeps it too.
 */
export function decodeText(bytes: Uint8Array, encoding: string): string | undefined {
  const buffer = asBuffer(bytes)
  // As servers report it, and nearly all are set.
  const name = encoding === 'UTF8' ? 'utf8' : normalizeEncoding(encoding)
  if (!ASCII_SAFE.has(name)) return undefined
  if (isAscii(buffer)) return buffer.toString('latin1')
  switch (name) {
    case 'utf8':
    case 'sqlascii':
      return isUtf8(buffer) ? buffer.toString('utf8') : undefined
    case 'latin1':
      return buffer.toString('latin1')
    default:
      return undefined
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
