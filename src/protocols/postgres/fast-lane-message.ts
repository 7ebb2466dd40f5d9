import { Frontend } from './message-types.js'

/** No name that servers tell apart is longer. */
const MAX_NAME_BYTES = 63
const LETTER_P = 0x50

/**
 * Where the parts of one piece stand that is a whole Query, or a whole [Parse] Bind [Describe] Execute Sync of the unnamed
 * portal, Parse being that of the unnamed statement. Filled anew for each piece.
 */
export class LaneMessage {
  isQuery = false
  hasParse = false
  hasDescribe = false
  textStart = 0
  /** Where its NUL stands. */
  textEnd = 0
  typesAt = 0
  typeCount = 0
  /** The frame of Query or Bind. */
  frameStart = 0
  frameEnd = 0
  nameStart = 0
  nameEnd = 0
  formatsAt = 0
  formatCount = 0
  valuesAt = 0
  valueCount = 0
  resultFormatsAt = 0
  resultFormatCount = 0

  /** Whether `bytes[0, end)` is such a piece, each part of it as it has to be. */
  read(bytes: Buffer, end: number): boolean {
    const type = bytes[0]
    this.isQuery = type === Frontend.Query
    this.hasParse = type === Frontend.Parse
    if (this.isQuery) return this.#readQuery(bytes, end)
    let at = 0
    if (this.hasParse) {
      at = this.#readParse(bytes, end)
      if (at < 0) return false
    }
    at = this.#readBind(bytes, at, end)
    return at >= 0 && this.#readTail(bytes, at, end)
  }

  #readQuery(bytes: Buffer, end: number): boolean {
    if (end < 7 || int32(bytes, 1) !== end - 1) return false
    this.frameStart = 0
    this.frameEnd = end
    this.textStart = 5
    this.textEnd = end - 1
    return endOfString(bytes, 5, end) === end - 1
  }

  #readParse(bytes: Buffer, end: number): number {
    // The shortest: header, two empty strings, no types.
    if (end < 9) return -1
    const frameEnd = int32(bytes, 1) + 1
    if (frameEnd < 9 || frameEnd > end || bytes[5] !== 0) return -1
    const textEnd = endOfString(bytes, 6, frameEnd)
    if (textEnd < 0 || textEnd + 3 > frameEnd) return -1
    const count = uint16(bytes, textEnd + 1)
    if (textEnd + 3 + count * 4 !== frameEnd) return -1
    this.textStart = 6
    this.textEnd = textEnd
    this.typesAt = textEnd + 3
    this.typeCount = count
    return frameEnd
  }

  #readBind(bytes: Buffer, start: number, end: number): number {
    // The shortest: header, two empty strings, three counts.
    if (end - start < 13 || bytes[start] !== Frontend.Bind) return -1
    const frameEnd = start + 1 + int32(bytes, start + 1)
    if (frameEnd < start + 13 || frameEnd > end || bytes[start + 5] !== 0) return -1
    let at = start + 6
    this.nameStart = at
    while (at < frameEnd && bytes[at] !== 0) {
      if ((bytes[at] as number) >= 0x80) return -1
      at++
    }
    this.nameEnd = at
    const nameBytes = at - this.nameStart
    if (nameBytes > MAX_NAME_BYTES || (this.hasParse && nameBytes > 0) || frameEnd - at < 7) return -1
    at++
    const formatCount = uint16(bytes, at)
    this.formatsAt = at + 2
    this.formatCount = formatCount
    at = endOfFormats(bytes, at, frameEnd)
    if (at < 0 || frameEnd - at < 4) return -1
    const valueCount = uint16(bytes, at)
    if (formatCount > 1 && formatCount !== valueCount) return -1
    at += 2
    this.valuesAt = at
    this.valueCount = valueCount
    for (let i = 0; i < valueCount; i++) {
      if (frameEnd - at < 4) return -1
      const length = int32(bytes, at)
      at += 4
      if (length === -1) continue
      if (length < 0 || length > frameEnd - at) return -1
      at += length
    }
    if (frameEnd - at < 2) return -1
    this.resultFormatsAt = at + 2
    this.resultFormatCount = uint16(bytes, at)
    if (endOfFormats(bytes, at, frameEnd) !== frameEnd) return -1
    this.frameStart = start
    this.frameEnd = frameEnd
    return frameEnd
  }

  /** [Describe of the unnamed portal] Execute of all of its rows, Sync. */
  #readTail(bytes: Buffer, start: number, end: number): boolean {
    let at = start
    // Their lengths are known: nothing is read beyond the end.
    this.hasDescribe = end - at === 7 + 10 + 5
    if (this.hasDescribe) {
      const isRight =
        bytes[at] === Frontend.Describe &&
        int32(bytes, at + 1) === 6 &&
        bytes[at + 5] === LETTER_P &&
        bytes[at + 6] === 0
      if (!isRight) return false
      at += 7
    }
    return (
      end - at === 10 + 5 &&
      bytes[at] === Frontend.Execute &&
      int32(bytes, at + 1) === 9 &&
      bytes[at + 5] === 0 &&
      int32(bytes, at + 6) === 0 &&
      bytes[at + 10] === Frontend.Sync &&
      int32(bytes, at + 11) === 4
    )
  }
}

/** Signed, as lengths are. The four bytes must be there. */
export function int32(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

/** The two bytes must be there. */
export function uint16(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** Where the first NUL stands, or -1. */
function endOfString(bytes: Buffer, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === 0) return at
  return -1
}

/** Int16 count, Int16 formats of 0 or 1. The two bytes of the count must be there. */
function endOfFormats(bytes: Buffer, start: number, end: number): number {
  const count = uint16(bytes, start)
  const after = start + 2 + count * 2
  if (after > end) return -1
  for (let at = start + 2; at < after; at += 2) if (uint16(bytes, at) > 1) return -1
  return after
}
