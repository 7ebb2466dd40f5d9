import { BYTE_CLASS, DIGIT, PEM_BODY, UPPER } from './bytes.js'

/** Longest first line that is recognised. */
export const MAX_PEM_HEADER_BYTES = 96
/** A block without an END line is taken to end here: twice what a 16384-bit RSA key needs. */
const MAX_PEM_BODY_BYTES = 32_768

const BEGIN = Buffer.from('-----BEGIN ', 'latin1')
const KEY = Buffer.from('PRIVATE KEY', 'latin1')

/** The end of the first line's closing dashes for the block whose first dash is at `start`, or -1. */
export function pemHeaderEnd(bytes: Uint8Array, start: number, end: number): number {
  if (!startsWith(bytes, start, end, BEGIN)) return -1
  const limit = Math.min(end, start + MAX_PEM_HEADER_BYTES)
  let i = start + BEGIN.length
  let hasKey = false
  for (; i < limit; i++) {
    const byte = bytes[i] as number
    if (byte === 0x2d) break
    if (byte !== 0x20 && ((BYTE_CLASS[byte] as number) & (UPPER | DIGIT)) === 0) return -1
    if (byte === 0x50 && startsWith(bytes, i, limit, KEY)) hasKey = true
  }
  if (!hasKey || i + 5 > limit) return -1
  for (let k = 0; k < 5; k++) if (bytes[i + k] !== 0x2d) return -1
  return i + 5
}

/** Reads the body of a PEM block byte by byte, so that it can be cut anywhere. */
export class PemBody {
  #dashes = 0
  #isInEnd = false
  #count = 0
  /** The END line, or something that cannot stand in a block, was met. */
  isOver = false

  reset(): void {
    this.isOver = false
    this.#dashes = 0
    this.#isInEnd = false
    this.#count = 0
  }

  /** Where the block ends. Less than `end`: it is over. Equal to `end`: see {@link PemBody.isOver}. */
  extend(bytes: Uint8Array, start: number, end: number): number {
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number
      if (this.isOver || this.#count++ >= MAX_PEM_BODY_BYTES) {
        this.isOver = true
        return i
      }
      if (byte === 0x2d) {
        this.#dashes++
        if (this.#dashes === 5) {
          if (this.#isInEnd) {
            this.isOver = true
            return i + 1
          }
          this.#isInEnd = true
          this.#dashes = 0
        }
        continue
      }
      this.#dashes = 0
      const isAllowed = this.#isInEnd
        ? byte === 0x20 || ((BYTE_CLASS[byte] as number) & (UPPER | DIGIT)) !== 0
        : ((BYTE_CLASS[byte] as number) & PEM_BODY) !== 0
      if (!isAllowed) {
        this.isOver = true
        return i
      }
    }
    return end
  }
}

function startsWith(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (start + expected.length > end) return false
  for (let k = 0; k < expected.length; k++) if (bytes[start + k] !== expected[k]) return false
  return true
}
