import { ALNUM, BYTE_CLASS, digitLength } from './bytes.js'

/** Assigned country calling codes (ITU-T E.164): a full list of one, two and three digits. */
const CALLING_CODES = new Set<number>([
  1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61,
  62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 216, 218, 220, 221, 222, 223, 224, 225,
  226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248,
  249, 250, 251, 252, 253, 254, 255, 256, 257, 258, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 290, 291, 297,
  298, 299, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 380,
  381, 382, 383, 385, 386, 387, 389, 420, 421, 423, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 590, 591, 592,
  593, 594, 595, 596, 597, 598, 599, 670, 672, 673, 674, 675, 676, 677, 678, 679, 680, 681, 682, 683, 685, 686, 687,
  688, 689, 690, 691, 692, 800, 808, 850, 852, 853, 855, 856, 870, 878, 880, 881, 882, 883, 886, 888, 960, 961, 962,
  963, 964, 965, 966, 967, 968, 970, 971, 972, 973, 974, 975, 976, 977, 979, 992, 993, 994, 995, 996, 998,
])

const MIN_DIGITS = 8
const MAX_DIGITS = 15

/**
 * The end of the international number whose `+` stands at `plus`, or -1. Reads at most 15 digits with up to two
 * separators between them.
 */
export function internationalPhoneEnd(bytes: Uint8Array, plus: number, end: number): number {
  let i = plus + 1
  let count = 0
  let code = 0
  let isCode = false
  let matchEnd = -1
  let dots = 0
  if (i < end && bytes[i] === 0x28) i++ // (
  for (;;) {
    let length = digitLength(bytes, i, end)
    if (length === 0) break
    while (length > 0) {
      count++
      if (count > MAX_DIGITS) return dots === 1 ? -1 : matchEnd
      if (count <= 3) {
        code = code * 10 + ((bytes[i + length - 1] as number) & 15)
        if (CALLING_CODES.has(code)) isCode = true
        else if (count === 3 && !isCode) return -1
      }
      i += length
      length = digitLength(bytes, i, end)
    }
    const next = i < end ? (bytes[i] as number) : 0
    if (count >= MIN_DIGITS && ((BYTE_CLASS[next] as number) & ALNUM) === 0) {
      matchEnd = i
      if (bytes[plus + 1] === 0x31 && count >= 11) break
    }
    const skipped = phoneSeparator(bytes, i, end)
    if (skipped === 0) break
    if (next === 0x2e) dots++
    i += skipped
  }
  // One dot among the digits is a decimal fraction with its sign.
  return dots === 1 ? -1 : matchEnd
}

/** The bytes of `-`, `.`, a blank, `(`, `)`, or `) ` between digits at `index`, or 0. */
export function phoneSeparator(bytes: Uint8Array, index: number, end: number): number {
  let i = index
  for (let count = 0; count < 2 && i < end; count++) {
    const byte = bytes[i] as number
    if (byte === 0x20 || byte === 0x2d || byte === 0x2e || byte === 0x28 || byte === 0x29) i++
    else if (byte === 0xc2 && i + 1 < end && bytes[i + 1] === 0xa0) i += 2
    else break
  }
  return i > index && digitLength(bytes, i, end) > 0 ? i - index : 0
}

/** Area code and exchange of the North American plan, as digit values from `offset`. */
export function isNanp(digits: Uint8Array, offset: number): boolean {
  return isNanpCode(digits, offset) && isNanpCode(digits, offset + 3) && digits[offset + 1] !== 9
}

function isNanpCode(digits: Uint8Array, offset: number): boolean {
  return (digits[offset] as number) >= 2 && !(digits[offset + 1] === 1 && digits[offset + 2] === 1)
}
