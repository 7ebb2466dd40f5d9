const HEX: Int8Array = buildHex()

function buildHex(): Int8Array {
  const table = new Int8Array(256).fill(-1)
  for (let i = 0; i < 16; i++) {
    table[i.toString(16).charCodeAt(0)] = i
    table[i.toString(16).toUpperCase().charCodeAt(0)] = i
  }
  return table
}

/**
 * A text with its JSON escapes undone, and where each of its bytes came from. One instance is reused for every cell.
 */
export class UnescapedText {
  bytes: Buffer = Buffer.allocUnsafe(1024)
  /** Offset in the source of every byte, and of the end. */
  offsets = new Int32Array(1025)
  length = 0

  /** @param isJson also undoes the two-character escapes; otherwise only `\uXXXX` */
  read(source: Uint8Array, start: number, end: number, isJson: boolean): void {
    // An escape is never shorter than what it stands for.
    if (this.bytes.length < end - start) {
      const size = Math.max(end - start, this.bytes.length * 2)
      this.bytes = Buffer.allocUnsafe(size)
      this.offsets = new Int32Array(size + 1)
    }
    this.length = 0
    let i = start
    while (i < end) {
      const byte = source[i] as number
      if (byte !== 0x5c || i + 1 >= end) {
        this.#put(byte, i++)
        continue
      }
      const escape = source[i + 1] as number
      const unit = escape === 0x75 ? readUnit(source, i, end) : -1
      if (unit >= 0) {
        i += this.#putUnit(source, unit, i, end)
      } else if (isJson) {
        this.#put(simpleEscape(escape), i)
        i += 2
      } else {
        this.#put(byte, i++)
      }
    }
    this.offsets[this.length] = end
  }

  #put(byte: number, at: number): void {
    this.offsets[this.length] = at
    this.bytes[this.length++] = byte
  }

  /** Appends one character as UTF-8 and returns the source bytes it took. */
  #putUnit(source: Uint8Array, unit: number, at: number, end: number): number {
    if (unit < 0x80) {
      this.#put(unit, at)
      return 6
    }
    if (unit < 0x800) {
      this.#put(0xc0 | (unit >> 6), at)
      this.#put(0x80 | (unit & 0x3f), at)
      return 6
    }
    const low = unit >= 0xd800 && unit < 0xdc00 ? readUnit(source, at + 6, end) : -1
    if (low >= 0xdc00 && low < 0xe000) {
      const point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
      this.#put(0xf0 | (point >> 18), at)
      this.#put(0x80 | ((point >> 12) & 0x3f), at)
      this.#put(0x80 | ((point >> 6) & 0x3f), at)
      this.#put(0x80 | (point & 0x3f), at)
      return 12
    }
    this.#put(0xe0 | (unit >> 12), at)
    this.#put(0x80 | ((unit >> 6) & 0x3f), at)
    this.#put(0x80 | (unit & 0x3f), at)
    return 6
  }
}

/** The value of `\uXXXX` at `at`, or -1. */
function readUnit(source: Uint8Array, at: number, end: number): number {
  if (at + 6 > end || source[at] !== 0x5c || source[at + 1] !== 0x75) return -1
  let unit = 0
  for (let k = 2; k < 6; k++) {
    const digit = HEX[source[at + k] as number] as number
    if (digit < 0) return -1
    unit = unit * 16 + digit
  }
  return unit
}

function simpleEscape(escape: number): number {
  switch (escape) {
    case 0x6e: // n
      return 0x0a
    case 0x72: // r
      return 0x0d
    case 0x74: // t
      return 0x09
    case 0x62: // b
      return 0x08
    case 0x66: // f
      return 0x0c
    default:
      return escape
  }
}
