import { ALNUM, BYTE_CLASS } from './bytes.js'

/** Country and total length, ISO 13616 registry. */
const LENGTHS =
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'

const LENGTH_BY_COUNTRY: Uint8Array = buildLengths()

function buildLengths(): Uint8Array {
  const table = new Uint8Array(26 * 26)
  for (const entry of LENGTHS.split(' ')) {
    table[(entry.charCodeAt(0) - 65) * 26 + entry.charCodeAt(1) - 65] = Number(entry.slice(2))
  }
  return table
}

/**
 * The end of the IBAN that starts at `start` (two letters, then digits), or -1. Single blanks or hyphens may stand
 * between its characters. Never reads further than 70 bytes.
 */
export function ibanEnd(bytes: Uint8Array, start: number, end: number): number {
  if (start + 15 > end) return -1
  const first = ((bytes[start] as number) | 0x20) - 0x61
  const second = ((bytes[start + 1] as number) | 0x20) - 0x61
  const length = LENGTH_BY_COUNTRY[first * 26 + second] as number
  if (length === 0 || !isDigit(bytes[start + 2])) return -1
  let count = 0
  let isSeparated = true
  let hasSeparator = false
  let remainder = 0
  let i = start
  // The first four characters are moved to the end before the remainder is taken (ISO 7064 MOD 97-10).
  for (; count < length; i++) {
    if (i >= end) return -1
    const byte = bytes[i] as number
    if (((BYTE_CLASS[byte] as number) & ALNUM) !== 0) {
      if (count === 3 && !isDigit(byte)) return -1
      if (hasSeparator && count % 4 === 0 && !isSeparated) return -1
      if (count >= 4) remainder = shift(remainder, byte)
      count++
      isSeparated = false
    } else if ((byte === 0x20 || byte === 0x2d) && !isSeparated) {
      // Groups of four throughout: a UUID's hyphens stand elsewhere.
      if (count % 4 !== 0 || (!hasSeparator && count !== 4)) return -1
      hasSeparator = true
      isSeparated = true
    } else {
      return -1
    }
  }
  if (i < end && ((BYTE_CLASS[bytes[i] as number] as number) & ALNUM) !== 0) return -1
  let head = start
  for (let k = 0; k < 4; head++) {
    const byte = bytes[head] as number
    if (((BYTE_CLASS[byte] as number) & ALNUM) === 0) continue
    remainder = shift(remainder, byte)
    k++
  }
  return remainder === 1 ? i : -1
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function shift(remainder: number, byte: number): number {
  if (byte <= 0x39) return (remainder * 10 + byte - 0x30) % 97
  return (remainder * 100 + (byte | 0x20) - 0x61 + 10) % 97
}
