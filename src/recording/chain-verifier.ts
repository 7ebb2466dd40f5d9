import { GENESIS_HASH, LINE_END, LINE_SUFFIX_LENGTH, LINK_LENGTH, sha256Hex } from './line.js'
import { RECORDING_FORMAT, RECORDING_VERSION, type LineType } from './types.js'

/**
 * What is wrong with a line. `malformed`: not of the form every line has. `order`: another line stands where this one
 * should (dropped, repeated or moved). `hash`: changed, or not written behind the line before it. `header`: not a
 * recording's first line, or one in the wrong place. `after-end`: something follows the end marker.
 * `torn-tail`: the last line is incomplete, as after a crash. `unclosed`: nothing is wrong but that the end is missing: cut off, crashed or
 * still being written. `session`, `head`: not the recording that was asked for. `segment`: not the segment that should follow.
 */
export type ProblemKind =
  | 'empty'
  | 'malformed'
  | 'oversized'
  | 'order'
  | 'hash'
  | 'header'
  | 'after-end'
  | 'torn-tail'
  | 'unclosed'
  | 'session'
  | 'head'
  | 'segment'

export interface RecordingProblem {
  /** The first bad line, counted from 1. */
  readonly line: number
  readonly kind: ProblemKind
  readonly message: string
}

/** How a segment is closed. */
export type Ending = 'end' | 'continued' | 'seal'

/** The form of a line, read without parsing it. */
interface LineParts {
  readonly sequence: number
  readonly type: string
  readonly atUnixMs: number
  readonly bodyLength: number
  readonly hash: string
}

const OPENING = Buffer.from('{"seq":')
const HASH_MEMBER = Buffer.from(',"hash":"')
/** `"type":"` and `"at":` stand right behind the number, so the first bytes tell both. */
const PREFIX = /^\{"seq":([1-9]\d{0,15}),"type":"([a-z]{1,32})","at":(\d{1,16})[,}]/
const HEX = /^[0-9a-f]{64}$/
const TYPES: ReadonlySet<string> = new Set<LineType>([
  'header',
  'command',
  'answer',
  'output',
  'hold',
  'approval',
  'note',
  'alert',
  'resize',
  'input',
  'detected',
  'transfer',
  'content',
  'continued',
  'end',
  'seal',
])

/** Events carry the time when they happened and are written a little later, so small steps back mean nothing. */
const CLOCK_TOLERANCE_MS = 1_000

/** Follows the chain of one segment line by line. Stops at the first problem. */
export class ChainVerifier {
  /** Good lines so far. */
  lines = 0
  /** Bytes of the good lines, newlines included. */
  goodBytes = 0
  head: string = GENESIS_HASH
  ending: Ending | undefined
  problem: RecordingProblem | undefined
  sessionId: string | undefined
  segment: number | undefined
  previousHash: string | undefined
  /** The first line that is older than the one before it: the clock was set back, or somebody says so. */
  clockSetBack: { readonly line: number; readonly byMs: number } | undefined
  #lastAtUnixMs = 0
  #scratch = Buffer.alloc(4_096)

  /** A complete line without its newline. */
  push(line: Buffer): void {
    if (this.problem !== undefined) return
    const parts = partsOf(line)
    if (this.ending !== undefined) return this.#bad('after-end', `a line follows the \`${this.ending}\` marker`)
    if (parts === undefined) return this.#bad('malformed', 'not a line of a recording')
    const expected = this.lines + 1
    if (parts.sequence !== expected) {
      const how = parts.sequence > expected ? 'lines are missing or moved' : 'a line is repeated or moved'
      return this.#bad('order', `expected number ${expected}, got ${parts.sequence}: ${how}`)
    }
    if (this.#hash(line, parts.bodyLength) !== parts.hash) {
      if (!HEX.test(parts.hash)) return this.#bad('malformed', 'the hash is not 64 hex digits')
      return this.#bad('hash', 'changed, or not written behind the line before it')
    }
    if (!this.#acceptType(line, parts)) return
    if (this.#lastAtUnixMs - parts.atUnixMs > CLOCK_TOLERANCE_MS) {
      this.clockSetBack ??= { line: expected, byMs: this.#lastAtUnixMs - parts.atUnixMs }
    }
    this.#lastAtUnixMs = parts.atUnixMs
    this.lines = expected
    this.goodBytes += line.length + 1
    this.head = parts.hash
  }

  /** No more lines; `rest` is what came after the last newline. */
  finish(rest: Uint8Array): void {
    if (this.problem !== undefined) return
    if (rest.length > 0) {
      if (this.ending !== undefined) return this.#bad('after-end', `${rest.length} bytes follow the end marker`)
      return this.#bad('torn-tail', `torn tail of ${rest.length} bytes, everything before it verifies`)
    }
    if (this.lines === 0) return this.#bad('empty', 'there is no line')
    if (this.ending === undefined) {
      this.problem = {
        line: this.lines,
        kind: 'unclosed',
        message: 'unclosed: no end marker follows, the tail is cut off or still being written',
      }
    }
  }

  #acceptType(line: Buffer, parts: LineParts): boolean {
    const { type, sequence } = parts
    if (type === 'header') {
      if (sequence === 1) return this.#readHeader(line)
      this.#bad('header', 'a header stands inside the recording')
      return false
    }
    // A file whose header never reached the disk can only be sealed.
    if (sequence === 1 && type !== 'seal') {
      this.#bad('header', 'the first line is not a header')
      return false
    }
    if (!TYPES.has(type)) {
      this.#bad('malformed', `there is no line of type \`${type}\``)
      return false
    }
    if (type === 'end' || type === 'continued' || type === 'seal') this.ending = type
    return true
  }

  #readHeader(line: Buffer): boolean {
    const header = parseObject(line)
    if (header?.['format'] !== RECORDING_FORMAT || header['version'] !== RECORDING_VERSION) {
      this.#bad('header', `expected format \`${RECORDING_FORMAT}\` version ${RECORDING_VERSION}`)
      return false
    }
    const { sessionId, segment, previousHash } = header
    const isWellFormed =
      typeof sessionId === 'string' &&
      typeof segment === 'number' &&
      Number.isSafeInteger(segment) &&
      segment >= 1 &&
      (segment === 1 ? previousHash === undefined : typeof previousHash === 'string' && HEX.test(previousHash))
    if (!isWellFormed) {
      this.#bad('header', 'the header does not say whose recording it is and which segment')
      return false
    }
    this.sessionId = sessionId
    this.segment = segment
    if (typeof previousHash === 'string') this.previousHash = previousHash
    return true
  }

  #hash(line: Buffer, bodyLength: number): string {
    const length = LINK_LENGTH + bodyLength
    if (this.#scratch.length < length) this.#scratch = Buffer.alloc(Math.max(length, this.#scratch.length * 2))
    this.#scratch.write(this.head + LINE_END, 0, 'latin1')
    line.copy(this.#scratch, LINK_LENGTH, 0, bodyLength)
    return sha256Hex(this.#scratch.subarray(0, length))
  }

  #bad(kind: ProblemKind, message: string): void {
    this.problem = { line: this.lines + 1, kind, message }
  }
}

/** The members of a line, or undefined when it is not a JSON object. */
export function parseObject(line: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('latin1'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function partsOf(line: Buffer): LineParts | undefined {
  const bodyLength = line.length - LINE_SUFFIX_LENGTH
  if (bodyLength < OPENING.length) return undefined
  const isFramed =
    line[line.length - 1] === 0x7d && // }
    line[line.length - 2] === 0x22 && // "
    line.compare(HASH_MEMBER, 0, HASH_MEMBER.length, bodyLength, bodyLength + HASH_MEMBER.length) === 0
  if (!isFramed) return undefined
  const prefix = PREFIX.exec(line.toString('latin1', 0, Math.min(bodyLength + 1, 96)))
  const hash = line.toString('latin1', line.length - 66, line.length - 2)
  if (prefix === null) return undefined
  return {
    sequence: Number(prefix[1]),
    type: prefix[2] ?? '',
    atUnixMs: Number(prefix[3]),
    bodyLength,
    hash,
  }
}
