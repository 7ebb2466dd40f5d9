/** Byte classes as one table: bit tests instead of comparisons. */
export const DIGIT = 1
export const LETTER = 2
/** Characters of the local part of an e-mail address, as met in practice, and every byte of a non-ASCII character. */
export const LOCAL = 4
export const DOMAIN = 8
export const BASE64URL = 16
export const BASE64 = 32
/** What may stand between BEGIN and END of a PEM block, including escaped line ends. */
export const PEM_BODY = 64
export const UPPER = 128
/** Base64url and the dots between its parts, as in a JSON Web Token. */
export const DOTTED = 256
export const ALNUM = DIGIT | LETTER

export const BYTE_CLASS: Uint16Array = buildClasses()

function buildClasses(): Uint16Array {
  const table = new Uint16Array(256)
  const add = (characters: string, bits: number): void => {
    for (const character of characters)
      table[character.charCodeAt(0)] = (table[character.charCodeAt(0)] as number) | bits
  }
  const upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
  const anywhere = LOCAL | DOMAIN | BASE64URL | BASE64 | PEM_BODY | DOTTED
  add('0123456789', DIGIT | anywhere)
  add(upper, LETTER | UPPER | anywhere)
  add(upper.toLowerCase(), LETTER | anywhere)
  add("._%+-'~!#$&", LOCAL)
  add('.-', DOMAIN)
  add('-_', BASE64URL | DOTTED)
  add('.', DOTTED)
  add('+/', BASE64)
  add('+/= \r\n\t\\:,.-', PEM_BODY)
  for (let byte = 0x80; byte < 0x100; byte++) table[byte] = LOCAL | DOMAIN
  return table
}

/** Whether the byte at `index` has one of the class bits; false outside `[low, high)`. */
export function hasClass(bytes: Uint8Array, index: number, low: number, high: number, bits: number): boolean {
  return index >= low && index < high && ((BYTE_CLASS[bytes[index] as number] as number) & bits) !== 0
}

/**
 * The length in bytes of a digit other than ASCII at `index`, or 0: full-width (U+FF10), Arabic-Indic (U+0660) and
 * extended Arabic-Indic (U+06F0). Its value is in the low four bits of the last byte.
 */
export function wideDigitLength(bytes: Uint8Array, index: number, end: number): number {
  const first = bytes[index] as number
  if (first === 0xef) {
    if (index + 2 >= end || bytes[index + 1] !== 0xbc) return 0
    const last = bytes[index + 2] as number
    return last >= 0x90 && last <= 0x99 ? 3 : 0
  }
  if (first === 0xd9 || first === 0xdb) {
    if (index + 1 >= end) return 0
    const last = bytes[index + 1] as number
    const zero = first === 0xd9 ? 0xa0 : 0xb0
    return last >= zero && last <= zero + 9 ? 2 : 0
  }
  return 0
}

/** The length of a digit of any of those kinds or ASCII, or 0. */
export function digitLength(bytes: Uint8Array, index: number, end: number): number {
  if (index >= end) return 0
  const byte = bytes[index] as number
  if (byte >= 0x30 && byte <= 0x39) return 1
  return byte < 0x80 ? 0 : wideDigitLength(bytes, index, end)
}

/** Whether a digit of any kind ends right before `index`. */
export function endsWithDigit(bytes: Uint8Array, index: number, low: number): boolean {
  if (index <= low) return false
  const byte = bytes[index - 1] as number
  if (byte < 0x80) return byte >= 0x30 && byte <= 0x39
  if (index - 3 >= low && bytes[index - 3] === 0xef) return wideDigitLength(bytes, index - 3, index) === 3
  return index - 2 >= low && wideDigitLength(bytes, index - 2, index) === 2
}
