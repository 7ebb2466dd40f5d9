import { SallyportError } from '../../core/index.js'
import {
  ALNUM,
  BASE64,
  BASE64URL,
  BYTE_CLASS,
  DIGIT,
  DOTTED,
  digitLength,
  endsWithDigit,
  hasClass,
  LOCAL,
} from './bytes.js'
import { isCardNumber } from './card.js'
import { adjacentAwsSecretStart, assignedAwsSecretStart, azureKeyStart } from './context-secrets.js'
import { DigitGroups, hasContext, isFraction, isSocialSecurityNumber, joinsBackward } from './digit-groups.js'
import { domainEnd, localPartStart, MAX_DOMAIN_BYTES, MAX_LOCAL_BYTES } from './email.js'
import { ibanEnd } from './iban.js'
import { internationalPhoneEnd, isNanp, phoneSeparator } from './phone.js'
import { compilePrefixes, type CompiledPrefix, type Detector, TOKEN_DETECTORS } from './prefixes.js'
import { PemBody, pemHeaderEnd } from './private-key.js'

const EMAIL = 0
const CARD = 1
const SSN = 2
const PHONE = 3
const IBAN = 4
const JWT = 5
const AWS_SECRET = 6
const AZURE_KEY = 7
const PRIVATE_KEY = 8

const SPECIAL_NAMES = [
  'email',
  'card',
  'us-ssn',
  'phone',
  'iban',
  'jwt',
  'aws-secret',
  'azure-storage-key',
  'private-key',
]

/** Names of the built-in detectors. */
export const DETECTOR_NAMES: readonly string[] = [...new Set([...SPECIAL_NAMES, ...TOKEN_DETECTORS.map((d) => d.name)])]

// What a byte may set off. Every other byte is passed over by one table look-up.
const ON_DIGIT = 1
const ON_WIDE = 2
const ON_AT = 4
const ON_PLUS = 8
const ON_J = 16
const ON_ASSIGN = 32
const ON_DASH = 64
const ON_PREFIX = 128
const ON_BACKSLASH = 256

// How far each of them may look ahead. A decision that could need bytes not yet there waits for them in a stream.
const NUMBER_LOOK_AHEAD = 128
const EMAIL_LOOK_AHEAD = MAX_DOMAIN_BYTES + 2
const MAX_JWT_HEADER_BYTES = 1024
const JWT_LOOK_AHEAD = MAX_JWT_HEADER_BYTES + 32
const MAX_TOKEN_BYTES = 255
const TOKEN_LOOK_AHEAD = MAX_TOKEN_BYTES + 64
const ASSIGN_LOOK_AHEAD = 64

/** How far before an anchor a match can start. */
export const MAX_LOOK_BEHIND_BYTES = MAX_LOCAL_BYTES + 2
/** Bytes before a position that can change what is found there. */
export const CONTEXT_BYTES = MAX_LOOK_BEHIND_BYTES + 64

const SSN_WORDS = ['ssn', 'social sec', 'soc sec', 'taxpayer', 'tax id', 'itin']
const PHONE_WORDS = ['phone', 'tel', 'mobile', 'cell', 'fax', 'call']

/** All prefixes anchored at one byte. */
interface AnchoredPrefixes {
  readonly list: CompiledPrefix[]
  /** Whether some prefix has this byte before its anchor, or none before it. */
  readonly isPrevious: Uint8Array
}

/** Which detectors a scanner runs, and what they are numbered. Built once per set of detectors. */
export interface DetectorTable {
  /** Name of each kind. */
  readonly names: readonly string[]
  readonly isEnabled: readonly boolean[]
  readonly actions: Uint16Array
  /** By anchor byte. */
  readonly prefixes: readonly (AnchoredPrefixes | undefined)[]
  /** The most a stream has to keep back to decide as if it saw the whole text. */
  readonly maxUndecidedBytes: number
}

/**
 * @param enabled names; undefined for all
 * @param custom detectors besides the built-in ones
 * @throws SallyportError `invalid_policy` for a name that no detector has, `invalid_option` for a custom detector that cannot work
 */
export function compileDetectors(
  enabled: readonly string[] | undefined,
  custom: readonly Detector[] = [],
): DetectorTable {
  for (const detector of custom) checkDetector(detector)
  const all = [...TOKEN_DETECTORS, ...custom]
  const names = [...new Set([...SPECIAL_NAMES, ...all.map((detector) => detector.name)])]
  for (const name of enabled ?? []) {
    if (!names.includes(name)) {
      throw new SallyportError(
        'invalid_policy',
        `no detector is called \`${name}\`, expected one of ${names.join(', ')}`,
      )
    }
  }
  const isEnabled = names.map((name) => enabled === undefined || enabled.includes(name))
  const actions = new Uint16Array(256)
  const on = (bytes: readonly number[], action: number): void => {
    for (const byte of bytes) actions[byte] = (actions[byte] as number) | action
  }
  if (isEnabled[CARD] || isEnabled[SSN] || isEnabled[PHONE] || isEnabled[IBAN]) {
    on([0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39], ON_DIGIT)
    on([0xef, 0xd9, 0xdb], ON_WIDE)
  }
  on([0x5c], ON_BACKSLASH)
  if (isEnabled[EMAIL]) on([0x40], ON_AT)
  if (isEnabled[PHONE]) on([0x2b], ON_PLUS)
  if (isEnabled[JWT]) on([0x4a], ON_J)
  if (isEnabled[AWS_SECRET]) on([0x3d, 0x3a], ON_ASSIGN)
  if (isEnabled[AZURE_KEY]) on([0x3d], ON_ASSIGN)
  if (isEnabled[PRIVATE_KEY]) on([0x2d], ON_DASH)
  const prefixes: (AnchoredPrefixes | undefined)[] = new Array(256).fill(undefined)
  for (const detector of all) {
    const kind = names.indexOf(detector.name)
    const isNeeded = isEnabled[kind] || (detector.name === 'aws-access-key' && isEnabled[AWS_SECRET])
    if (!isNeeded) continue
    for (const prefix of compilePrefixes(detector, kind)) {
      const byte = prefix.bytes[prefix.anchor] as number
      const anchored = prefixes[byte] ?? { list: [], isPrevious: new Uint8Array(256) }
      anchored.list.push(prefix)
      if (prefix.anchor === 0) anchored.isPrevious.fill(1)
      else anchored.isPrevious[prefix.bytes[prefix.anchor - 1] as number] = 1
      prefixes[byte] = anchored
      on([byte], ON_PREFIX)
    }
  }
  const lookAhead = isEnabled[JWT] ? JWT_LOOK_AHEAD : TOKEN_LOOK_AHEAD
  return { names, isEnabled, actions, prefixes, maxUndecidedBytes: lookAhead + MAX_LOOK_BEHIND_BYTES }
}

function checkDetector(detector: Detector): void {
  const isValid =
    detector.prefixes.length > 0 &&
    detector.prefixes.every((prefix) => /^[\x21-\x7e]{2,32}$/.test(prefix)) &&
    detector.minLength >= 1 &&
    detector.minLength <= 128 &&
    (detector.maxLength === undefined || (detector.maxLength >= detector.minLength && detector.maxLength <= 200))
  if (!isValid || SPECIAL_NAMES.includes(detector.name)) {
    throw new SallyportError(
      'invalid_option',
      `detector \`${detector.name}\` needs a name of its own, prefixes of 2 to 32 printable characters and lengths from 1 to 128 (at most 200)`,
    )
  }
}

/**
 * Finds what the detectors of one table look for, in one pass, left to right, without overlaps. What is found at a
 * position depends on a bounded number of bytes around it, which is what makes the same finds possible in a stream.
 *
 * Use: {@link Scanner.start}, then {@link Scanner.next} until it returns -1. A match with {@link Scanner.isOpen} set
 * goes on: {@link Scanner.extend} tells to where.
 */
export class Scanner {
  readonly table: DetectorTable
  matchStart = 0
  matchEnd = 0
  /** The match has a tail of any length. */
  isOpen = false
  /** Where the search goes on. After -1 in a stream: everything before it is decided. */
  position = 0
  /** End of the last match: nothing before it is looked at as part of another. */
  floor = 0
  /** Whether `floor` is the end of a match and not the start of the text. */
  isAfterMatch = false
  /** A backslash was passed: the text may carry escapes. Cleared by {@link Scanner.start}. */
  sawBackslash = false
  /** What surrounds the text says that nine digits in it are a social security number. */
  hasContextOfSsn = false

  readonly #groups = new DigitGroups()
  readonly #pem = new PemBody()
  #tail = 0
  #pendingSecret = -1

  constructor(table: DetectorTable) {
    this.table = table
  }

  start(at: number): void {
    this.position = at
    this.floor = at
    this.isAfterMatch = false
    this.isOpen = false
    this.sawBackslash = false
    this.#pendingSecret = -1
  }

  /** Starts a new text at offset 0 and leaves an open match open. */
  restart(): void {
    const isOpen = this.isOpen
    this.start(0)
    this.isOpen = isOpen
    this.matchEnd = 0
  }

  /** Tells the scanner that the bytes it works on have moved by `by` towards the front. */
  shift(by: number): void {
    this.position -= by
    this.matchEnd -= by
    this.floor = Math.max(0, this.floor - by)
    if (this.#pendingSecret >= 0) this.#pendingSecret -= by
  }

  /**
   * The kind of the next match, or -1.
   *
   * @param low bytes before this do not exist
   * @param isFinal false: more bytes may follow `end`, and what they could change is left undecided
   */
  next(bytes: Uint8Array, low: number, end: number, isFinal: boolean): number {
    const actions = this.table.actions
    const enabled = this.table.isEnabled
    let i = this.position
    if (this.#pendingSecret >= 0) {
      const start = this.#pendingSecret
      this.#pendingSecret = -1
      return this.#found(AWS_SECRET, start, start + 40)
    }
    for (;;) {
      let action = 0
      while (i < end && (action = actions[bytes[i] as number] as number) === 0) i++
      if (i >= end) break
      if (action === ON_BACKSLASH) this.sawBackslash = true
      if ((action & (ON_DIGIT | ON_WIDE)) !== 0) {
        if (!isFinal && i + NUMBER_LOOK_AHEAD > end) break
        if ((action & ON_WIDE) === 0 || digitLength(bytes, i, end) > 0) {
          const kind = this.#numberAt(bytes, i, low, end)
          if (kind >= 0) return kind
          i = this.position
          continue
        }
      }
      if ((action & ON_AT) !== 0) {
        if (!isFinal && i + EMAIL_LOOK_AHEAD > end) break
        const matchEnd = domainEnd(bytes, i + 1, end)
        if (matchEnd > 0) {
          const matchStart = localPartStart(bytes, i, this.floor > low ? this.floor : low, this.isAfterMatch)
          if (matchStart >= 0) return this.#found(EMAIL, matchStart, matchEnd)
        }
      }
      if ((action & ON_PLUS) !== 0) {
        if (!isFinal && i + NUMBER_LOOK_AHEAD > end) break
        if (i >= this.floor && !this.#touchesWord(bytes, i, low)) {
          const matchEnd = internationalPhoneEnd(bytes, i, end)
          if (matchEnd > 0) return this.#found(PHONE, i, matchEnd)
        }
      }
      if ((action & ON_J) !== 0 && i - 2 >= low && bytes[i - 1] === 0x79 && bytes[i - 2] === 0x65) {
        if (!isFinal && i + JWT_LOOK_AHEAD > end) break
        if (i - 2 >= this.floor && !this.#touchesClass(bytes, i - 2, low, BASE64URL) && isJwtAt(bytes, i - 2, end)) {
          return this.#foundOpen(JWT, i - 2, i + 1, DOTTED)
        }
      }
      if ((action & ON_ASSIGN) !== 0) {
        if (!isFinal && i + ASSIGN_LOOK_AHEAD > end) break
        if (enabled[AWS_SECRET]) {
          const start = assignedAwsSecretStart(bytes, i, Math.max(low, this.floor), end)
          if (start >= 0) return this.#found(AWS_SECRET, start, start + 40)
        }
        if (enabled[AZURE_KEY]) {
          const start = azureKeyStart(bytes, i, Math.max(low, this.floor), end)
          if (start >= 0) return this.#found(AZURE_KEY, start, i + 2)
        }
      }
      if ((action & ON_DASH) !== 0) {
        if (!isFinal && i + NUMBER_LOOK_AHEAD > end) break
        if (i + 1 < end && bytes[i + 1] === 0x2d) {
          const headerEnd = pemHeaderEnd(bytes, i, end)
          if (headerEnd > 0) {
            this.#pem.reset()
            return this.#foundOpen(PRIVATE_KEY, i, headerEnd, 0)
          }
        }
      }
      if ((action & ON_PREFIX) !== 0) {
        if (!isFinal && i + TOKEN_LOOK_AHEAD > end) break
        const kind = this.#tokenAt(bytes, i, low, end)
        if (kind >= 0) return kind
        if (this.#pendingSecret >= 0) {
          this.position = i
          return this.next(bytes, low, end, isFinal)
        }
      }
      i++
    }
    this.position = i
    return -1
  }

  /** Moves {@link Scanner.matchEnd} over the tail of an open match. At `end` the tail may go on with the next bytes: `isOpen` stays set. */
  extend(bytes: Uint8Array, end: number): void {
    let i = this.matchEnd
    if (this.#tail === 0) {
      i = this.#pem.extend(bytes, i, end)
      if (i < end || this.#pem.isOver) this.isOpen = false
    } else {
      while (i < end && ((BYTE_CLASS[bytes[i] as number] as number) & this.#tail) !== 0) i++
      if (i < end) this.isOpen = false
    }
    this.matchEnd = i
    this.position = i
    this.floor = i
  }

  #found(kind: number, start: number, end: number): number {
    this.matchStart = start
    this.matchEnd = end
    this.isOpen = false
    this.position = end
    this.floor = end
    this.isAfterMatch = true
    return kind
  }

  #foundOpen(kind: number, start: number, end: number, tail: number): number {
    this.#found(kind, start, end)
    this.isOpen = true
    this.#tail = tail
    return kind
  }

  /** Whether a letter or digit stands right before `at`. An escaped line end (`\n`) and the end of a match do not count. */
  #touchesWord(bytes: Uint8Array, at: number, low: number): boolean {
    return this.#touchesClass(bytes, at, low, ALNUM) || (at > this.floor && endsWithDigit(bytes, at, low))
  }

  #touchesClass(bytes: Uint8Array, at: number, low: number, bits: number): boolean {
    if (at <= low || (this.isAfterMatch && at <= this.floor)) return false
    const byte = bytes[at - 1] as number
    if (((BYTE_CLASS[byte] as number) & bits) === 0) return false
    const isEscape = at - 2 >= low && bytes[at - 2] === 0x5c && (byte === 0x6e || byte === 0x72 || byte === 0x74)
    return !isEscape
  }

  /** Everything that begins with a digit. Leaves `position` behind the first run of digits when nothing is found. */
  #numberAt(bytes: Uint8Array, start: number, low: number, end: number): number {
    let runEnd = start
    while (runEnd < end) {
      const byte = bytes[runEnd] as number
      if (byte < 0x30 || byte > 0x39) break
      runEnd++
    }
    this.position = runEnd > start ? runEnd : start + 1
    if (this.#touchesWord(bytes, start, low)) return this.#ibanAt(bytes, start, low, end)
    const length = runEnd - start
    const next = runEnd < end ? (bytes[runEnd] as number) : 0
    // The common case, decided without looking closer: a short number with nothing after it that could join it to another.
    if (length > 0 && next < 0x80) {
      if (length > 19 || ((BYTE_CLASS[next] as number) & ALNUM) !== 0) return -1
      const isJoined = (next === 0x20 || next === 0x2d || next === 0x2e || next === 0x29) && runEnd + 1 < end
      if (length < 9 && (!isJoined || (length !== 1 && length !== 3 && length !== 4))) return -1
      if (length < 9 && isAsciiBreak(bytes, runEnd + 2, end) && !isBlankOrParen(bytes[runEnd + 1] as number)) return -1
      if (length === 12) return -1
      // What begins with four digits, such as a date, is a card's number or nothing: four more follow.
      if (length === 4 && !hasFourMore(bytes, runEnd + 1, end)) return -1
    }
    const groups = this.#groups
    groups.read(bytes, start, end)
    const digits = groups.digits
    const enabled = this.table.isEnabled
    const isJoinedBackward = joinsBackward(bytes, start, low)
    const first = groups.sizes[0] as number
    if (enabled[CARD]) {
      if (!isJoinedBackward) {
        for (let count = groups.count; count > 1; count--) {
          if (!groups.isCardShape(count) || !groups.endsCleanly(bytes, count - 1, end)) continue
          if (isCardNumber(digits, groups.total(count))) return this.#number(CARD, start, count)
        }
      }
      if (first >= 13 && !isFraction(bytes, start, groups.ends[0] as number, low, end) && isCardNumber(digits, first)) {
        if (this.#endsRun(bytes, end)) return this.#number(CARD, start, 1)
      }
    }
    if (enabled[SSN] && !isJoinedBackward) {
      if (groups.isSocialSecurityShape() && isSocialSecurityNumber(digits) && groups.endsCleanly(bytes, 2, end)) {
        return this.#number(SSN, start, 3)
      }
      if (first === 9 && isSocialSecurityNumber(digits) && groups.endsCleanly(bytes, 0, end)) {
        if (this.hasContextOfSsn || hasContext(bytes, start, Math.max(low, this.floor), SSN_WORDS))
          return this.#number(SSN, start, 1)
      }
    }
    if (enabled[PHONE] && !isJoinedBackward) {
      const offset = first === 1 && digits[0] === 1 ? 1 : 0
      if (groups.isPhoneShape(offset) && isNanp(digits, offset) && groups.endsCleanly(bytes, offset + 2, end)) {
        const hasParen = start > Math.max(low, this.floor) && bytes[start - 1] === 0x28
        return this.#number(PHONE, hasParen ? start - 1 : start, offset + 3)
      }
      if (offset === 1 && groups.count === 1) {
        // 1 (212) 555-1234
        const at = (groups.ends[0] as number) + phoneSeparator(bytes, groups.ends[0] as number, end)
        if (at > (groups.ends[0] as number) && bytes[at - 1] === 0x28) {
          groups.read(bytes, at, end)
          if (groups.isPhoneShape(0) && isNanp(digits, 0) && groups.endsCleanly(bytes, 2, end))
            return this.#number(PHONE, start, 3)
        }
        return -1
      }
      const isBare = first === 10 || (first === 11 && digits[0] === 1)
      if (isBare && isNanp(digits, first - 10) && groups.endsCleanly(bytes, 0, end)) {
        if (hasContext(bytes, start, Math.max(low, this.floor), PHONE_WORDS)) return this.#number(PHONE, start, 1)
      }
    }
    return -1
  }

  #endsRun(bytes: Uint8Array, end: number): boolean {
    const at = this.#groups.ends[0] as number
    return at >= end || ((BYTE_CLASS[bytes[at] as number] as number) & ALNUM) === 0
  }

  #number(kind: number, start: number, groups: number): number {
    return this.#found(kind, start, this.#groups.ends[groups - 1] as number)
  }

  #ibanAt(bytes: Uint8Array, digit: number, low: number, end: number): number {
    const start = digit - 2
    if (!this.table.isEnabled[IBAN] || start < low || start < this.floor) return -1
    if (
      !hasClass(bytes, start, low, end, ALNUM) ||
      (bytes[start] as number) < 0x41 ||
      (bytes[start + 1] as number) < 0x41
    )
      return -1
    if (!hasClass(bytes, start + 1, low, end, ALNUM) || this.#touchesWord(bytes, start, low)) return -1
    const matchEnd = ibanEnd(bytes, start, end)
    return matchEnd < 0 ? -1 : this.#found(IBAN, start, matchEnd)
  }

  #tokenAt(bytes: Uint8Array, at: number, low: number, end: number): number {
    const anchored = this.table.prefixes[bytes[at] as number] as AnchoredPrefixes
    if (at > low && anchored.isPrevious[bytes[at - 1] as number] === 0) return -1
    for (const prefix of anchored.list) {
      const expected = prefix.bytes
      const start = at - prefix.anchor
      if (start < low || start < this.floor || start + expected.length + prefix.minLength > end) continue
      if (prefix.anchor > 0 && bytes[at - 1] !== expected[prefix.anchor - 1]) continue
      let k = 0
      while (k < expected.length && bytes[start + k] === expected[k]) k++
      if (k < expected.length || this.#touchesWord(bytes, start, low)) continue
      const limit = Math.min(end, start + MAX_TOKEN_BYTES)
      let i = start + k
      while (i < limit && ((BYTE_CLASS[bytes[i] as number] as number) & prefix.characters) !== 0) i++
      const length = i - start - k
      if (length < prefix.minLength) continue
      if (prefix.maxLength > 0 && (length > prefix.maxLength || hasClass(bytes, i, low, end, ALNUM))) continue
      if (this.table.isEnabled[AWS_SECRET] && this.table.names[prefix.kind] === 'aws-access-key') {
        this.#pendingSecret = adjacentAwsSecretStart(bytes, i, low, end)
        if (!this.table.isEnabled[prefix.kind]) {
          if (this.#pendingSecret >= 0) return -1
          continue
        }
      }
      return i === start + MAX_TOKEN_BYTES
        ? this.#foundOpen(prefix.kind, start, i, prefix.characters)
        : this.#found(prefix.kind, start, i)
    }
    return -1
  }
}

/** Whether a byte that is no digit of any kind stands at `at`, or the end. */
function isAsciiBreak(bytes: Uint8Array, at: number, end: number): boolean {
  return at >= end || ((bytes[at] as number) < 0x80 && ((BYTE_CLASS[bytes[at] as number] as number) & DIGIT) === 0)
}

/** Whether the next four bytes can all be digits, of some kind. */
function hasFourMore(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 4 > end) return false
  for (let i = at; i < at + 4; i++) {
    const byte = bytes[i] as number
    if (byte < 0x80 && (byte < 0x30 || byte > 0x39)) return false
  }
  return true
}

/** What may follow a bracket or stand before one in a phone number. */
function isBlankOrParen(byte: number): boolean {
  return byte === 0x20 || byte === 0x28
}

/** Base64url that starts like `{"`, a dot, and a second part (or the empty one of an encrypted token). */
function isJwtAt(bytes: Uint8Array, start: number, end: number): boolean {
  const limit = Math.min(end, start + MAX_JWT_HEADER_BYTES)
  let i = start
  while (i < limit && ((BYTE_CLASS[bytes[i] as number] as number) & BASE64URL) !== 0) i++
  if (i - start < 12 || i + 1 >= end || bytes[i] !== 0x2e) return false
  const second = i + 1
  if (bytes[second] === 0x2e) return true
  let k = 0
  while (k < 10 && second + k < end && ((BYTE_CLASS[bytes[second + k] as number] as number) & BASE64URL) !== 0) k++
  return k === 10
}

/** Whether a match found later could still start at the byte before a position: such bytes are kept back in a stream. */
export function mayStartMatch(byte: number): boolean {
  return byte === 0x28 || ((BYTE_CLASS[byte] as number) & (LOCAL | BASE64 | BASE64URL)) !== 0
}
