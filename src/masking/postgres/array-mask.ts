import { ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask } from '../../core/index.js'

/** PostgreSQL's own limit (MAXDIM). */
const MAX_DIMENSIONS = 6

/**
 * Masks every element of an array and rebuilds it. What cannot be read as an array of that element type becomes NULL
 * as a whole.
 */
export class ArrayMask implements CellMask {
  readonly #elementOid: number
  readonly #element: CellMask
  readonly #isBinary: boolean
  readonly #scratch = new ByteWriter()
  readonly #replacement = new ByteWriter()
  #isChanged = false

  constructor(elementOid: number, element: CellMask, format: 'text' | 'binary') {
    this.#elementOid = elementOid
    this.#element = element
    this.#isBinary = format === 'binary'
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const before = target.length
    this.#isChanged = false
    const isRead = this.#isBinary ? this.#binary(source, start, end, target) : this.#text(source, start, end, target)
    if (isRead && this.#isChanged) return target.length - before
    target.length = before
    // Fails closed: an array that was not understood is not passed on.
    return isRead ? CELL_UNCHANGED : CELL_NULL
  }

  /**
   * array_send: int32 dimensions, int32 has nulls, uint32 element type, per dimension int32 size and int32 lower
   * bound, per element int32 length (-1: NULL) and bytes.
   */
  #binary(source: Uint8Array, start: number, end: number, target: ByteWriter): boolean {
    if (end - start < 12) return false
    const view = new DataView(source.buffer, source.byteOffset + start, end - start)
    const dimensions = view.getInt32(0)
    const headerBytes = 12 + dimensions * 8
    if (dimensions < 0 || dimensions > MAX_DIMENSIONS || headerBytes > view.byteLength) return false
    if (view.getUint32(8) !== this.#elementOid) return false
    let count = dimensions === 0 ? 0 : 1
    for (let i = 0; i < dimensions; i++) {
      const size = view.getInt32(12 + i * 8)
      if (size < 0) return false
      count *= size
    }
    if (count * 4 > view.byteLength) return false
    const flagsAt = target.length + 4
    target.append(source, start, start + headerBytes)
    let at = headerBytes
    for (let i = 0; i < count; i++) {
      if (at + 4 > view.byteLength) return false
      const length = view.getInt32(at)
      at += 4
      if (length === -1) {
        target.i32(-1)
        continue
      }
      if (length < 0 || at + length > view.byteLength) return false
      const lengthAt = target.length
      target.i32(length)
      const written = this.#element.apply(source, start + at, start + at + length, target)
      if (written === CELL_UNCHANGED) {
        target.append(source, start + at, start + at + length)
      } else {
        this.#isChanged = true
        target.bytes.writeInt32BE(written === CELL_NULL ? -1 : written, lengthAt)
        if (written === CELL_NULL) target.bytes.writeInt32BE(1, flagsAt)
      }
      at += length
    }
    return at === view.byteLength
  }

  /** array_out: optional `[l:u]...=`, then nested braces; elements bare or in double quotes with backslash escapes. */
  #text(source: Uint8Array, start: number, end: number, target: ByteWriter): boolean {
    let i = start
    if (source[i] === 0x5b) {
      while (i < end && source[i] !== 0x3d) {
        const byte = source[i] as number
        const isBound =
          (byte >= 0x30 && byte <= 0x3a) || byte === 0x5b || byte === 0x5d || byte === 0x2d || byte === 0x2b
        if (!isBound) return false
        i++
      }
      i++
      target.append(source, start, Math.min(i, end))
    }
    let depth = 0
    while (i < end) {
      const byte = source[i] as number
      if (byte === 0x7b) {
        if (++depth > MAX_DIMENSIONS) return false
        target.u8(byte)
        i++
      } else if (byte === 0x7d) {
        if (--depth < 0) return false
        target.u8(byte)
        i++
        if (depth === 0) return i === end
      } else if (byte === 0x2c) {
        target.u8(byte)
        i++
      } else {
        if (depth === 0) return false
        i = this.#textElement(source, i, end, target)
        if (i < 0) return false
      }
    }
    return false
  }

  /** Reads one element and appends its replacement. Returns where it ends, or -1. */
  #textElement(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const scratch = this.#scratch
    scratch.clear()
    const isQuoted = source[start] === 0x22
    let i = isQuoted ? start + 1 : start
    let isClosed = !isQuoted
    for (; i < end; i++) {
      let byte = source[i] as number
      if (byte === 0x5c) {
        if (++i >= end) return -1
        byte = source[i] as number
      } else if (isQuoted && byte === 0x22) {
        isClosed = true
        i++
        break
      } else if (!isQuoted && (byte === 0x2c || byte === 0x7d)) {
        break
      } else if (!isQuoted && (byte === 0x7b || byte === 0x22)) {
        return -1
      }
      scratch.u8(byte)
    }
    const next = source[i]
    if (!isClosed || i >= end || (next !== 0x2c && next !== 0x7d)) return -1
    if (!isQuoted && isNullWord(scratch.bytes, scratch.length)) {
      target.append(source, start, i)
      return i
    }
    const replacement = this.#replacement
    replacement.clear()
    const written = this.#element.apply(scratch.bytes, 0, scratch.length, replacement)
    if (written === CELL_UNCHANGED) {
      target.append(source, start, i)
    } else {
      this.#isChanged = true
      if (written === CELL_NULL) target.utf8('NULL')
      else appendElement(replacement.bytes, replacement.length, target)
    }
    return i
  }
}

function isNullWord(bytes: Uint8Array, length: number): boolean {
  if (length !== 4) return false
  const word = [0x6e, 0x75, 0x6c, 0x6c]
  return word.every((letter, i) => ((bytes[i] as number) | 0x20) === letter)
}

function appendElement(bytes: Uint8Array, length: number, target: ByteWriter): void {
  let isPlain = length > 0 && !isNullWord(bytes, length)
  for (let i = 0; isPlain && i < length; i++) {
    const byte = bytes[i] as number
    const isLetterOrDigit =
      (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
    isPlain = isLetterOrDigit || byte === 0x2d || byte === 0x2e || byte === 0x3a || byte === 0x2b || byte === 0x5f
  }
  if (isPlain) {
    target.append(bytes, 0, length)
    return
  }
  target.u8(0x22)
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number
    if (byte === 0x22 || byte === 0x5c) target.u8(0x5c)
    target.u8(byte)
  }
  target.u8(0x22)
}
