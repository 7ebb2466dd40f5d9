import { ALNUM, DIGIT, LETTER, BYTE_CLASS, digitLength, endsWithDigit } from './bytes.js'

const MAX_GROUPS = 6
const MAX_DIGITS = 19

/** No separator; then by what kind of character separates. */
const END = 0
const BLANK = 1
const DASH = 2
const DOT = 3
const PAREN = 4

/**
 * Digits from one position on, in groups with one separator between them: what card, social security and phone
 * numbers are made of. Reads a bounded number of bytes; one instance is reused for every position.
 */
export class DigitGroups {
  /** Values of all digits, in order. */
  readonly digits = new Uint8Array(MAX_DIGITS + 1)
  readonly sizes = new Uint8Array(MAX_GROUPS)
  readonly ends = new Int32Array(MAX_GROUPS)
  /** What follows each group. */
  readonly separators = new Uint8Array(MAX_GROUPS)
  count = 0
  /** More digits follow in the last group than are kept. */
  isOverlong = false

  read(bytes: Uint8Array, start: number, end: number): void {
    let i = start
    let total = 0
    this.count = 0
    this.isOverlong = false
    for (;;) {
      const before = total
      let length = digitLength(bytes, i, end)
      while (length > 0) {
        if (total > MAX_DIGITS) {
          this.isOverlong = true
          break
        }
        this.digits[total++] = (bytes[i + length - 1] as number) & 15
        i += length
        length = digitLength(bytes, i, end)
      }
      if (total > MAX_DIGITS) this.isOverlong = true
      const group = this.count++
      this.sizes[group] = total - before
      this.ends[group] = i
      this.separators[group] = END
      if (this.isOverlong || this.count === MAX_GROUPS) return
      const kind = separatorKind(bytes, i, end)
      if (kind === END) return
      let next = i + separatorLength(bytes[i] as number)
      if (kind === PAREN && next < end && bytes[next] === 0x20) next++
      if (digitLength(bytes, next, end) === 0) return
      this.separators[group] = kind
      i = next
    }
  }

  /** Digits of the first `groups` groups together. */
  total(groups: number): number {
    let sum = 0
    for (let i = 0; i < groups; i++) sum += this.sizes[i] as number
    return sum
  }

  /** Group sizes and one separator throughout, as in 4-4-4-4. */
  isCardShape(groups: number): boolean {
    if (this.sizes[0] !== 4) return false
    const kind = this.separators[0]
    for (let i = 1; i < groups; i++) {
      const size = this.sizes[i] as number
      if (this.separators[i - 1] !== kind) return false
      const isLast = i === groups - 1
      if (size === 4 || (isLast && size < 4) || (i === 1 && size === 6 && groups === 3)) continue
      if (isLast && groups === 3 && this.sizes[1] === 6 && (size === 4 || size === 5)) continue
      return false
    }
    return kind === BLANK || kind === DASH || kind === DOT
  }

  /** 3-2-4 with one separator throughout. */
  isSocialSecurityShape(): boolean {
    const kind = this.separators[0]
    return (
      this.count >= 3 &&
      this.sizes[0] === 3 &&
      this.sizes[1] === 2 &&
      this.sizes[2] === 4 &&
      this.separators[1] === kind &&
      kind !== PAREN
    )
  }

  /** 3-3-4 from group `first` on. */
  isPhoneShape(first: number): boolean {
    return (
      this.count >= first + 3 &&
      this.sizes[first] === 3 &&
      this.sizes[first + 1] === 3 &&
      this.sizes[first + 2] === 4 &&
      this.separators[first + 1] !== PAREN
    )
  }

  /**
   * Whether a number may end behind group `group`: no letter or digit touches it, and no dash or dot joins it to
   * more digits. `X` counts as a digit there: it is what a masked digit looks like.
   */
  endsCleanly(bytes: Uint8Array, group: number, end: number): boolean {
    if (group === this.count - 1 && this.isOverlong) return false
    const at = this.ends[group] as number
    if (at >= end) return true
    if (((BYTE_CLASS[bytes[at] as number] as number) & ALNUM) !== 0) return false
    return !joinsForward(bytes, at, end)
  }
}

function joinsForward(bytes: Uint8Array, at: number, end: number): boolean {
  const kind = separatorKind(bytes, at, end)
  if (kind !== DASH && kind !== DOT) return false
  const next = at + separatorLength(bytes[at] as number)
  return next < end && (bytes[next] === 0x58 || digitLength(bytes, next, end) > 0)
}

/** Whether a dash or dot right before `start` joins it to earlier digits. */
export function joinsBackward(bytes: Uint8Array, start: number, low: number): boolean {
  if (start - 2 < low) return false
  const byte = bytes[start - 1] as number
  if (byte !== 0x2d && byte !== 0x2e) return false
  return bytes[start - 2] === 0x58 || endsWithDigit(bytes, start - 1, low)
}

/** Whether the run of digits is part of a decimal fraction. A fraction of nothing but zeros leaves it a whole number. */
export function isFraction(bytes: Uint8Array, start: number, runEnd: number, low: number, end: number): boolean {
  if (start - 2 >= low && bytes[start - 1] === 0x2e && endsWithDigit(bytes, start - 1, low)) return true
  if (runEnd + 1 >= end || bytes[runEnd] !== 0x2e) return false
  let i = runEnd + 1
  while (i < end && i - runEnd <= 20 && bytes[i] === 0x30) i++
  return i - runEnd > 20 || digitLength(bytes, i, end) > 0
}

function separatorKind(bytes: Uint8Array, index: number, end: number): number {
  if (index >= end) return END
  switch (bytes[index]) {
    case 0x20:
      return BLANK
    case 0x2d:
      return DASH
    case 0x2e:
      return DOT
    case 0x29:
      return PAREN
    case 0xc2: // U+00A0
      return index + 1 < end && bytes[index + 1] === 0xa0 ? BLANK : END
    case 0xe2: // U+2010 to U+2015, U+202F
      if (index + 2 >= end || bytes[index + 1] !== 0x80) return END
      if (bytes[index + 2] === 0xaf) return BLANK
      return (bytes[index + 2] as number) >= 0x90 && (bytes[index + 2] as number) <= 0x95 ? DASH : END
    case 0xe3: // U+3000
      return index + 2 < end && bytes[index + 1] === 0x80 && bytes[index + 2] === 0x80 ? BLANK : END
    case 0xef: // U+FF0D
      return index + 2 < end && bytes[index + 1] === 0xbc && bytes[index + 2] === 0x8d ? DASH : END
    default:
      return END
  }
}

function separatorLength(first: number): number {
  return first < 0x80 ? 1 : first === 0xc2 ? 2 : 3
}

/** Area, group and serial as the Social Security Administration can have given them out. */
export function isSocialSecurityNumber(digits: Uint8Array): boolean {
  const area = (digits[0] as number) * 100 + (digits[1] as number) * 10 + (digits[2] as number)
  if (area === 0 || area === 666 || area >= 900) return false
  if (digits[3] === 0 && digits[4] === 0) return false
  return !(digits[5] === 0 && digits[6] === 0 && digits[7] === 0 && digits[8] === 0)
}

const CONTEXT_BYTES = 40

/**
 * Whether one of the words (lower case) stands shortly before `start` in the same line, with nothing between that is
 * itself a value: no digit, no masked text, not past `floor`.
 */
export function hasContext(bytes: Uint8Array, start: number, floor: number, words: readonly string[]): boolean {
  const low = Math.max(floor, start - CONTEXT_BYTES)
  let from = start
  while (from > low) {
    const byte = bytes[from - 1] as number
    const isBarrier =
      ((BYTE_CLASS[byte] as number) & DIGIT) !== 0 ||
      byte === 0x0a ||
      byte === 0x2a || // *
      byte === 0x5d || // ]
      (byte === 0x58 && from < start && bytes[from] === 0x58) // XX
    if (isBarrier) break
    from--
  }
  for (let i = from; i < start; i++) {
    for (const word of words) if (matchesWord(bytes, i, start, from, word)) return true
  }
  return false
}

function matchesWord(bytes: Uint8Array, at: number, end: number, low: number, word: string): boolean {
  if (at + word.length > end) return false
  for (let k = 0; k < word.length; k++) {
    const byte = bytes[at + k] as number
    const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte === 0x5f || byte === 0x2d ? 0x20 : byte
    if (folded !== word.charCodeAt(k)) return false
  }
  return !(at > low && ((BYTE_CLASS[bytes[at - 1] as number] as number) & LETTER) !== 0 && word.length < 5)
}
