import { ALNUM, BYTE_CLASS, DIGIT, DOMAIN, LETTER, LOCAL } from './bytes.js'

export const MAX_LOCAL_BYTES = 128
export const MAX_DOMAIN_BYTES = 255

/**
 * Where the local part before the `@` at `at` starts, or -1. When the walk back meets `floor` and `floor` is the end
 * of an earlier match, what is left between is taken whatever it is.
 */
export function localPartStart(bytes: Uint8Array, at: number, floor: number, isAfterMatch: boolean): number {
  let start = walkBack(bytes, at, floor, false)
  // A long run of non-ASCII text before the address is prose, not its local part.
  if (at - start > MAX_LOCAL_BYTES) start = walkBack(bytes, at, floor, true)
  if (at - start > MAX_LOCAL_BYTES) return -1
  if (start === floor && isAfterMatch) return start
  // The letter of an escaped line end or tab belongs to its backslash.
  if (start > floor && start + 1 < at && bytes[start - 1] === 0x5c && isEscapeLetter(bytes[start] as number)) start++
  while (start < at && !startsLocal(bytes[start] as number)) start++
  return start === at || bytes[at - 1] === 0x2e ? -1 : start
}

function walkBack(bytes: Uint8Array, at: number, floor: number, isAsciiOnly: boolean): number {
  let start = at
  while (start > floor && at - start <= MAX_LOCAL_BYTES) {
    const byte = bytes[start - 1] as number
    if (((BYTE_CLASS[byte] as number) & LOCAL) === 0 || (isAsciiOnly && byte >= 0x80)) break
    start--
  }
  return start
}

function isEscapeLetter(byte: number): boolean {
  return byte === 0x6e || byte === 0x72 || byte === 0x74
}

function startsLocal(byte: number): boolean {
  return byte >= 0x80 || byte === 0x5f || ((BYTE_CLASS[byte] as number) & ALNUM) !== 0
}

/** The end of the domain that starts at `start`: up to its last label that can be a top-level domain; or -1. */
export function domainEnd(bytes: Uint8Array, start: number, end: number): number {
  const limit = Math.min(end, start + MAX_DOMAIN_BYTES)
  let matchEnd = -1
  let labels = 0
  let numericLabels = 0
  let i = start
  while (i < limit) {
    const labelStart = i
    let letters = 0
    let digits = 0
    let hyphens = 0
    let bits: number
    while (i < limit && ((bits = BYTE_CLASS[bytes[i] as number] as number) & DOMAIN) !== 0 && bytes[i] !== 0x2e) {
      if ((bits & DIGIT) !== 0) digits++
      else if (digits === 0 && ((bits & LETTER) !== 0 || (bytes[i] as number) >= 0x80)) letters++
      // Two hyphens belong to punycode, or to something written right behind the address.
      else if (bytes[i] === 0x2d && i + 1 < limit && bytes[i + 1] === 0x2d && i - labelStart !== 2) break
      else if (bytes[i] === 0x2d) hyphens++
      i++
    }
    const length = i - labelStart
    if (length === 0 || bytes[labelStart] === 0x2d) break
    labels++
    if (digits === length) numericLabels++
    // Digits behind the letters of a top-level domain are most likely something glued to it, and go with it.
    const isTopLevel = letters >= 2 && hyphens === 0
    if (labels > 1 && (isTopLevel || isPunycode(bytes, labelStart, length))) matchEnd = i
    if (i >= limit || bytes[i] !== 0x2e) break
    i++
  }
  // `name@4.17.21-beta.rc` is a version.
  return numericLabels > 1 ? -1 : matchEnd
}

function isPunycode(bytes: Uint8Array, start: number, length: number): boolean {
  return (
    length > 4 &&
    ((bytes[start] as number) | 0x20) === 0x78 &&
    ((bytes[start + 1] as number) | 0x20) === 0x6e &&
    bytes[start + 2] === 0x2d &&
    bytes[start + 3] === 0x2d
  )
}
